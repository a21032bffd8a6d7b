"""The registry's own config.yml: what a stack gets by default, what it may say, and how it is written."""

from config.registry.check import check
from config.registry.defaults import defaults
from config.registry.duration import go_duration
from config.registry.encrypted import Encrypted
from config.registry.merge import merge
from config.registry.paths import dotted, leaves, secret_key, secret_paths, value_at
from config.registry.problem import Problem
from config.registry.render import render
from config.registry.shown import why_shown
from config.registry.values import is_address
from config.registry.version import RegistryVersion, version_of_image

__all__ = [
    "Encrypted",
    "Problem",
    "RegistryVersion",
    "check",
    "defaults",
    "dotted",
    "go_duration",
    "is_address",
    "leaves",
    "merge",
    "render",
    "secret_key",
    "secret_paths",
    "value_at",
    "version_of_image",
    "why_shown",
]

"""The registry's own config.yml: what a stack gets by default, what it may say, and how it is written."""

from config.registry.check import check
from config.registry.defaults import defaults
from config.registry.duration import go_duration
from config.registry.merge import merge
from config.registry.paths import dotted, secret_paths, value_at
from config.registry.problem import Problem
from config.registry.render import render
from config.registry.values import is_address
from config.registry.version import RegistryVersion, version_of_image

__all__ = [
    "Problem",
    "RegistryVersion",
    "check",
    "defaults",
    "dotted",
    "go_duration",
    "is_address",
    "merge",
    "render",
    "secret_paths",
    "value_at",
    "version_of_image",
]

"""The running stack's configuration, as the engine hands it to the program."""

import os
from pathlib import Path

import pulumi
import yaml
from pulumi.runtime import config as runtime_config

from config.clear_secrets import clear_secrets
from config.encrypted import marked
from config.problems import SettingsError
from config.settings import Settings


def stack_settings() -> Settings:
    """Read and check the stack's whole configuration.

    All keys at once, since `pulumi.Config` cannot list them and an unknown one is to be refused.
    Raises RunError, which the engine prints without a traceback, with every problem there is.
    """
    given = runtime_config.CONFIG.get() or runtime_config.get_config_env()
    file = Path(f"Pulumi.{pulumi.get_stack()}.yaml")
    written = _written(file)
    config, problems = marked(given, {key for key in given if runtime_config.is_config_secret(key)}, written)
    if problems:  # any other might repeat what is encrypted
        raise pulumi.RunError(str(SettingsError(file.name, problems)))
    problems = clear_secrets(written)
    try:
        settings = Settings.read(pulumi.get_stack(), config, os.environ)
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise pulumi.RunError(str(SettingsError(file.name, problems)))
    return settings


def _written(file: Path) -> dict[str, object]:
    """Read the stack's file; a stack may have its configuration elsewhere, encrypted there by Pulumi."""
    content = yaml.safe_load(file.read_text()) if file.exists() else None
    config = content.get("config") if isinstance(content, dict) else None
    return config if isinstance(config, dict) else {}

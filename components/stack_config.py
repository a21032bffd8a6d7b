"""The running stack's configuration, as the engine hands it to the program."""

import os

import pulumi
from pulumi.runtime import config as runtime_config

from config.problems import SettingsError
from config.settings import Settings


def stack_settings() -> Settings:
    """Read and check the stack's whole configuration.

    All keys at once, since `pulumi.Config` cannot list them and an unknown one is to be refused.
    Raises RunError, which the engine prints without a traceback, with every problem there is.
    """
    config = runtime_config.CONFIG.get() or runtime_config.get_config_env()
    try:
        return Settings.read(pulumi.get_stack(), config, os.environ)
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None

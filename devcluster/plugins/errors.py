"""What a plugin tells the engine when an operation goes wrong."""

from collections.abc import Mapping
from typing import Any


class PluginError(Exception):
    """A message for the user: what is wrong, where, and what to do."""


class InitFailedError(PluginError):
    """The resource exists but did not become ready: the engine keeps it in the state and retries an update.

    `outputs` are plain values; the provider puts the secret marks back before they leave the plugin.
    """

    def __init__(self, resource_id: str, outputs: Mapping[str, Any], reason: str) -> None:
        super().__init__(reason)
        self.resource_id = resource_id
        self.outputs = dict(outputs)

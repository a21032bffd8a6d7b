"""The config.yml that a stack gets when it says nothing."""

from typing import Any

from config.registry.version import RegistryVersion


def defaults(version: RegistryVersion) -> dict[str, Any]:
    """Return the seed's config, with a debug server for metrics and a graceful end."""
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "json", "fields": {"service": "registry"}},
        "storage": {
            "filesystem": {"rootdirectory": "/var/lib/registry"},
            "delete": {"enabled": True},
            "cache": {"blobdescriptor": "inmemory"},  # as in the upstream images' own config
        },
        "http": {
            "addr": ":5000",
            # Behind a proxy, Location headers else name the wrong scheme or port, and pushes fail.
            "relativeurls": True,
            # Without it the registry ends with exit code 2 and cuts pushes.
            "draintimeout": "20s",
            # Answers are for programs: a browser is to run, frame and guess nothing of them.
            "headers": {
                "X-Content-Type-Options": ["nosniff"],
                "X-Frame-Options": ["DENY"],
                "Content-Security-Policy": ["default-src 'none'; frame-ancestors 'none'"],
            },
            "debug": {"addr": ":5001", "prometheus": {"enabled": True, "path": "/metrics"}},
        },
        "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
    }
    if version is RegistryVersion.V3:
        config["storage"]["tag"] = {"concurrencylimit": 8}  # as in the upstream image's own config
    return config

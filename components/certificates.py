"""Files of certificates that the providers trust, as text for jobs that talk to the same servers."""

from pathlib import Path

import pulumi

from config.settings import Settings


def vault_ca(settings: Settings) -> str | None:
    """Read the Vault provider's CA file; None without one. Raises RunError if it cannot be used."""
    return certificates(settings.providers.vault.ca_file, "vault:caCertFile")


def consul_ca(settings: Settings) -> str | None:
    """Read the Consul provider's CA file; None without one. Raises RunError if it cannot be used."""
    return certificates(settings.providers.consul.ca_file, "consul:caFile")


def certificates(file: str | None, setting: str) -> str | None:
    """Read a CA file; None without one. Raises RunError, which names the setting, if it cannot be used."""
    if file is None:
        return None
    try:
        text = Path(file).read_text()
    except OSError as error:
        raise pulumi.RunError(f"{setting}: cannot read {file}: {error.strerror}") from None
    if "PRIVATE KEY" in text:  # the text becomes part of a job, which others read
        raise pulumi.RunError(f"{setting}: {file} has a private key in it; name a file of certificates")
    return text

"""The certificates by which jobs check Vault's: those of the Vault provider."""

from components.certificates import certificates
from config.settings import Settings


def vault_ca(settings: Settings) -> str | None:
    """Read the provider's CA file; None without one. Raises RunError if it cannot be used."""
    return certificates(settings.providers.vault.ca_file, "vault:caCertFile")

"""The certificates by which jobs check Consul's: those of the Consul provider."""

from components.certificates import certificates
from config.settings import Settings


def consul_ca(settings: Settings) -> str | None:
    """Read the provider's CA file; None without one. Raises RunError if it cannot be used."""
    return certificates(settings.providers.consul.ca_file, "consul:caFile")

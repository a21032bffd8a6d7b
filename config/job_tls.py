"""What the providers do about TLS and the scripts of jobs cannot: they know an authority, and no more.

Nomad is no matter: a job asks it by a socket that Nomad gives each task.
"""

from collections.abc import Iterator

from config.contradictions import Written
from config.problems import Problem
from config.providers import CONSUL, VAULT, Providers


def job_tls_problems(providers: Providers, written: Written) -> Iterator[Problem]:
    """List the providers' settings that a job would need to be told, and is not."""
    maintenance = [
        f"maintenance.{key}" for key in ("backup", "scan") if written["maintenance"].get(key) is not None
    ]
    # A backup's password is in Vault; the keys of mode vault are copied, and the tokens of nodes made there.
    of_vault = ["auth.mode vault"] if written["auth"].get("mode") == "vault" else []
    of_vault += [key for key in maintenance if key == "maintenance.backup"]
    for keys, server, parts in ((CONSUL, providers.consul, maintenance), (VAULT, providers.vault, of_vault)):
        if not parts or not server.address.startswith("https://"):
            continue
        jobs = f"the jobs of {' and '.join(parts)}"
        if server.skip_verify and not server.ca_file:
            setting, variable = keys.skip_verify
            yield Problem(
                setting,
                f"(or {variable}) is not for {jobs}, which check the certificate of {keys.name}: set "
                f"{keys.ca_file[0]} to the file of its authority, and remove this",
            )
        if server.cert_file:
            setting, variable = keys.cert_file
            yield Problem(
                setting,
                f"(or {variable}) is not for {jobs}, which have no certificate to show: let "
                f"{keys.address[0]} be one that asks for none, and remove this",
            )

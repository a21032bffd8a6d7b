"""How a job logs in to Vault."""

from dataclasses import dataclass

from config.settings import Settings
from jobs import nomad
from jobs.duration import Duration


@dataclass(frozen=True, kw_only=True)
class VaultLogin:
    """Who a job is at Vault: a policy that Nomad's servers hand out, or a role that it logs in to itself."""

    policy: str | None  # with vault.identity policies; a role's token has its policies by itself
    role: str | None  # with vault.identity workload

    def vault(self, *, token_file: bool) -> nomad.Vault:
        """Ask for a token: for Nomad's templates alone, or as `secrets/vault_token` for the task too.

        Never in the environment, which `docker inspect` shows; and a file has the newest token.
        """
        return nomad.Vault(
            policies=(self.policy,) if self.policy and not self.role else None,
            role=self.role,
            env=False,
            disable_file=not token_file,
            change_mode="noop",  # a new token changes nothing for the running task
        )

    def identities(self, settings: Settings) -> tuple[nomad.Identity, ...] | None:
        """Name Vault's audience in the job, so that it does not hang on the servers' default_identity."""
        if self.role is None:
            return None
        audience = (settings.vault.workload.audience,)
        return (nomad.Identity(name="vault_default", audience=audience, ttl=Duration.minutes(60)),)

"""The role by which one Nomad job, and no other, logs in to Vault with its workload identity."""

from collections.abc import Sequence

import pulumi
import pulumi_vault as vault

from config.settings import Settings


def workload_role(
    name: str,
    *,
    backend: pulumi.Input[str],
    audience: str,
    namespace: str,
    job: str,
    policies: Sequence[pulumi.Input[str]],
    parent: pulumi.Resource,
) -> vault.jwt.AuthBackendRole:
    """Make the role, named like the job. A periodic job's children carry its id, so they log in by it too."""
    return vault.jwt.AuthBackendRole(
        name,
        backend=backend,
        role_name=job,
        role_type="jwt",  # the provider's default is oidc
        bound_audiences=[audience],
        bound_claims={"nomad_namespace": namespace, "nomad_job_id": job},
        user_claim="/nomad_job_id",
        user_claim_json_pointer=True,
        claim_mappings={claim: claim for claim in ("nomad_namespace", "nomad_job_id", "nomad_task")},
        token_type="service",  # noqa: S106 - a kind of token, not a token
        token_period=1800,  # seconds; Nomad renews it for as long as the task runs
        token_policies=policies,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def role_of_job(
    name: str,
    settings: Settings,
    *,
    backend: pulumi.Input[str],
    job: str,
    policies: Sequence[pulumi.Input[str]],
    parent: pulumi.Resource,
) -> pulumi.Output[str] | None:
    """Make the role of one of a stack's jobs and give its name; None where jobs get tokens by policies."""
    if settings.vault.identity != "workload":
        return None
    made = workload_role(
        name,
        backend=backend,
        audience=settings.vault.workload.audience,
        namespace=settings.registry.namespace,
        job=job,
        policies=policies,
        parent=parent,
    )
    role_name: pulumi.Output[str] = made.role_name
    return role_name

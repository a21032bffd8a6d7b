"""Section `vault`: where Vault keeps the registry's secrets, and how the job reaches them."""

from typing import Literal

from pydantic import Field

from config.sections.base import HttpUrl, Section, Text


class Workload(Section):
    """How the job logs in to Vault with its workload identity (Nomad 1.7 and newer)."""

    backend: str = Field(
        "jwt-nomad", pattern=r"^[\w-]+(/[\w-]+)*$", description="Path of the JWT auth backend."
    )
    create_backend: bool = Field(
        False, description="Create the backend; by default the one of `nomad setup vault` is used."
    )
    jwks_url: HttpUrl | None = Field(
        None,
        description="Nomad's keys, for createBackend; by default its address with /.well-known/jwks.json.",
    )
    audience: Text = Field("vault.io", min_length=1, description="Audience in the job's token.")


class Vault(Section):
    """Where Vault keeps the registry's secrets, and how the job reaches them."""

    mount: str = Field("secret", pattern=r"^[\w-]+(/[\w-]+)*$", description="Mount of a KV version 2 engine.")
    identity: Literal["workload", "policies"] = Field(
        "workload",
        description="workload: the job logs in by its identity (Nomad 1.7 and newer). "
        "policies: Nomad's servers hold a token (Nomad up to 1.9).",
    )
    workload: Workload = Field(Workload(), description="Details of identity workload.")

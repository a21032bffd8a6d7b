"""The checks that guard a deploy: some before anything is created, one just before the job."""

import json
from collections.abc import Callable
from typing import TypeVar

import pulumi

from checks.authority import authority_certificate
from checks.cache_volume import require_cache_offered
from checks.errors import CheckError
from checks.network import host_network
from checks.nomad_acl import has_acl
from checks.placement import require_place
from checks.preflight import preflight as check
from checks.servers import Servers
from checks.token_keys import refresh_keys
from checks.volume import require_offered
from config.settings import Settings
from config.warnings import warnings

Answer = TypeVar("Answer")


def preflight(settings: Settings) -> None:
    """Ask the servers, at preview too, whether this deploy can work at all.

    Raises RunError, which the engine prints without a traceback, with every reason why not.
    """
    for warning in warnings(settings):
        pulumi.log.warn(warning)
    _asked(settings, lambda servers: check(settings, servers))


def bound_network(settings: Settings) -> str | None:
    """Ask Nomad for the host network that `access.bind` means; None is the node's default one."""
    return _asked(settings, lambda servers: host_network(servers.nomad, settings))


def nomad_acl(settings: Settings) -> bool:
    """Ask whether Nomad has ACLs on: then maintenance jobs need a policy to freeze the registry."""
    return _asked(settings, lambda servers: has_acl(servers.nomad))


def existing_authority(settings: Settings) -> str | None:
    """Fetch the certificate of an authority that the stack only uses; None if the stack makes its own."""
    if settings.makes_authority:
        return None
    return _asked(settings, lambda servers: authority_certificate(servers.vault, settings.pki_mount))


def deployable(settings: Settings) -> pulumi.ResourceHook:
    """Stop before the job if it has no volume, no place, or no key of clients' tokens.

    Not part of the preflight: by now the directory is there, and Nomad does not start with a host_volume
    whose directory is missing. And the job that copies Vault's keys is there, which the registry needs to
    have run once.
    """

    def require(args: pulumi.ResourceHookArgs) -> None:
        with Servers(settings.providers) as servers:
            if settings.on_volume and settings.storage.kind == "static":
                require_offered(servers.nomad, settings)
            if args.new_inputs:
                job = json.loads(args.new_inputs["jobspec"])
                require_place(servers.nomad, settings, job, settings.mounted_volume, "registry")
            if settings.auth.mode == "vault":
                refresh_keys(servers.nomad, settings)

    return pulumi.ResourceHook("deployable", require)


def mirrors_deployable(settings: Settings) -> pulumi.ResourceHook:
    """Stop before the mirrors' job if it has no volume or no place, for the same reasons."""

    def require(args: pulumi.ResourceHookArgs) -> None:
        with Servers(settings.providers) as servers:
            if settings.storage.kind == "static":
                require_cache_offered(servers.nomad, settings)
            if args.new_inputs:
                job = json.loads(args.new_inputs["jobspec"])
                require_place(servers.nomad, settings, job, settings.cache_volume, "mirrors[]")

    return pulumi.ResourceHook("mirrors-deployable", require)


def _asked(settings: Settings, question: Callable[[Servers], Answer]) -> Answer:
    """Ask the servers; what is wrong is printed without a traceback."""
    try:
        with Servers(settings.providers) as servers:
            return question(servers)
    except CheckError as error:
        raise pulumi.RunError(str(error)) from None

"""The checks that guard a deploy: some before anything is created, one just before the job."""

import json

import pulumi

from checks.errors import CheckError
from checks.placement import require_place
from checks.preflight import preflight as check
from checks.servers import Servers
from checks.volume import require_offered
from config.settings import Settings


def preflight(settings: Settings) -> None:
    """Ask the servers, at preview too, whether this deploy can work at all.

    Raises RunError, which the engine prints without a traceback, with every reason why not.
    """
    if not settings.auth.users:
        pulumi.log.warn(
            "docker-registry:auth.users is empty, so nobody can log in: "
            "`python -m ops users set NAME` adds a user"
        )
    try:
        with Servers(settings.providers) as servers:
            check(settings, servers)
    except CheckError as error:
        raise pulumi.RunError(str(error)) from None


def deployable(settings: Settings) -> pulumi.ResourceHook:
    """Stop before the job if no client offers the volume, or Nomad has no place for it.

    Not part of the preflight: by now the directory is there, and Nomad does not start with a host_volume
    whose directory is missing.
    """

    def require(args: pulumi.ResourceHookArgs) -> None:
        with Servers(settings.providers) as servers:
            if settings.storage.kind == "static":
                require_offered(servers.nomad, settings)
            if args.new_inputs:
                require_place(servers.nomad, settings, json.loads(args.new_inputs["jobspec"]))

    return pulumi.ResourceHook("deployable", require)

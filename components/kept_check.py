"""A check that a job keeps in Consul, taken out of it once there is no such job any more."""

import shlex

import pulumi
import pulumi_command as command

from config.settings import Settings

# Consul answers 404 if the job has not run yet.
FORGET = """
import os, ssl, urllib.error, urllib.request
url = os.environ["CONSUL"] + "/v1/agent/service/deregister/" + os.environ["CHECK"]
headers = {"X-Consul-Token": os.environ.get("TOKEN", "")}
tls = ssl.create_default_context(cafile=os.environ.get("CA_FILE")) if url.startswith("https:") else None
try:
    urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers), context=tls)
except urllib.error.HTTPError as error:
    if error.code != 404:
        raise
"""


def kept_check(
    name: str, settings: Settings, *, service: str, parent: pulumi.Resource
) -> command.local.Command:
    """Make the command that deregisters the service when it is destroyed, and does nothing before."""
    consul = settings.providers.consul
    return command.local.Command(
        name,
        create=":",
        delete=f"python3 -c {shlex.quote(FORGET)}",
        environment={
            "CONSUL": consul.address,
            "CHECK": service,
            **({"CA_FILE": consul.ca_file} if consul.ca_file else {}),
            **({"TOKEN": pulumi.Output.secret(consul.token)} if consul.token else {}),
        },
        opts=pulumi.ResourceOptions(parent=parent),
    )

"""A check that a job keeps in Consul, taken out of it once there is no such job any more."""

import shlex

import pulumi
import pulumi_command as command

from config.settings import Settings

# Consul answers 404 if the job has not run yet.
FORGET = """
import os, ssl, sys, urllib.error, urllib.request
url = os.environ["CONSUL"] + "/v1/agent/service/deregister/" + os.environ["CHECK"]
headers = {"X-Consul-Token": os.environ.get("TOKEN", "")}
try:
    tls = ssl.create_default_context(cafile=os.environ.get("CA_FILE"))
    if os.environ.get("SKIP_VERIFY"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    if os.environ.get("CERT_FILE"):
        tls.load_cert_chain(os.environ["CERT_FILE"], os.environ.get("KEY_FILE"))
    # Consul is on this network: a proxy of the environment does not reach it.
    handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
    urllib.request.build_opener(*handlers).open(urllib.request.Request(url, method="PUT", headers=headers))
except OSError as error:
    if getattr(error, "code", None) != 404:
        reason = getattr(error, "reason", error)
        sys.exit(f"check {os.environ['CHECK']} stays in Consul at {os.environ['CONSUL']}: {reason}")
"""


def kept_check(
    name: str, settings: Settings, *, service: str, parent: pulumi.Resource
) -> command.local.Command:
    """Make the command that deregisters the service when it is destroyed, and does nothing before.

    With another name of the service it is replaced: then it deregisters the old one.
    """
    consul = settings.providers.consul
    options = {"CA_FILE": consul.ca_file, "CERT_FILE": consul.cert_file, "KEY_FILE": consul.key_file}
    return command.local.Command(
        name,
        create=":",
        delete=f"python3 -c {shlex.quote(FORGET)}",
        environment={
            "CONSUL": consul.address,
            "CHECK": service,
            **{key: file for key, file in options.items() if file},
            **({"SKIP_VERIFY": "true"} if consul.skip_verify else {}),
            **({"TOKEN": pulumi.Output.secret(consul.token)} if consul.token else {}),
        },
        triggers=[service],
        # With a secret environment alone, what a script prints would be in clear in the state.
        opts=pulumi.ResourceOptions(parent=parent, additional_secret_outputs=["stdout", "stderr"]),
    )

"""The registry's service in Consul, and what the registry itself answers on its own port."""

from collections.abc import Mapping
from typing import Any

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.errors import AnswerError
from checks.status import service_state
from checks.why import words_of_checks
from config.warnings import warnings

_CLIENT = "nomad-client"  # the service that Nomad's clients register for themselves


def service_registered(facts: Facts) -> Finding:
    """The service is in Consul.

    Symptom: Traefik answers 404 for the registry's name, though the job runs.

    Cause: Nomad does not talk to this Consul, or a second Nomad does, which takes away what it does not
    know.

    Fix: `nomad alloc restart ID`, when no second Nomad uses the Consul agent any more. If Nomad's own
    services are missing too: a `consul` block with this Consul's address in its configuration.
    """
    service, address = facts.settings.registry.service, facts.servers.consul.address
    if facts.instances():
        return ok(f"service {service} is registered at {address}")
    allocation = facts.allocation()
    if not allocation or not facts.runs:
        return not_looked_at("the job does not run, so nothing is to be registered")
    what = f"service {service} is not registered at {address}, though the job runs"
    ours, _ = _nomad_clients(facts)
    if ours:  # so Nomad talks to this Consul
        return failure(what, facts.nomad("alloc restart", allocation["ID"]))
    block = f'consul {{ address = "{address.partition("://")[2]}" }}'
    return failure(what, f"{block}   # in the Nomad agent's configuration, then: systemctl restart nomad")


def service_healthy(facts: Facts) -> Finding:
    """Consul's checks of the service pass.

    Symptom: Traefik answers 404 or 503 for the registry's name.

    Cause: The registry does not answer Consul, or its storage fails.

    Fix: `python -m ops why`
    """
    instances, service = facts.instances(), facts.settings.registry.service
    if not instances:
        return not_looked_at(f"there is no service {service}")
    state = service_state(instances)
    if state == "passing":
        return ok(f"service {service} passes its checks")
    return failure("; ".join(words_of_checks(instances)), facts.why)


def registry_answers(facts: Facts) -> Finding:
    """The registry answers on its own port.

    Symptom: Connection refused, or 503.

    Cause: The job does not run, or the way to its container is broken; 503: the registry cannot read its
    storage.

    Fix: `nomad alloc restart ID`; if the job does not run, `python -m ops why`. Of a 503 the registry's log
    tells more.
    """
    answer = facts.answer()
    if answer is None:
        return not_looked_at("Consul does not know where it is")
    if answer.code is None:
        allocation = facts.allocation() if facts.runs else None
        fix = facts.nomad("alloc restart", allocation["ID"]) if allocation else facts.why
        return failure(f"{answer.url} does not answer: {answer.error}", fix)
    if answer.code == 200:
        return ok(f"{answer.url} answers, {answer.mode or 'with no word of its mode'}")
    allocation = facts.allocation()
    logs = facts.nomad("alloc logs -stderr", allocation["ID"]) if allocation else facts.why
    return failure(f"{answer.url} answers {answer.code}", logs)


def nomad_alone(facts: Facts) -> Finding:
    """No other Nomad uses this Consul agent.

    Symptom: The service comes and goes in Consul, and Traefik answers 404 now and then.

    Cause: A second Nomad agent, often one with no `consul` block, talks to the Consul agent on its machine
    and removes the services that it does not know.

    Fix: stop it (`systemctl disable --now UNIT`), or give it a Consul agent of its own (`consul { address =
    … }` in its configuration).
    """
    ours, others = _nomad_clients(facts)
    agents = {each["Node"] for each in ours}
    strangers = sorted((each["ServicePort"], each["Node"], _address(each)) for each in others)
    strangers = [each for each in strangers if each[1] in agents]
    if not strangers:
        return ok("no other Nomad registers services at the same Consul agent")
    places = ", ".join(f"{address} on {node}" for _, node, address in strangers)
    return failure(
        f"another Nomad uses the Consul agent of ours: its client is at {places}",
        "\n".join(
            f"{_ended(port)}   # as root on {node}; if systemd runs it: systemctl disable --now UNIT"
            for port, node, _ in strangers
        ),
    )


def mesh_protocol(facts: Facts) -> Finding:
    """A service mesh does not end long requests.

    Symptom: In a mesh, pushes of big layers end with 504 after 15 s.

    Cause: The service-defaults say protocol `http`, with which Envoy ends every request after 15 s.

    Fix: `pulumi config set --path docker-registry:registry.consulProtocol tcp`, then `pulumi up`.
    """
    service = facts.settings.registry.service
    entry = facts.servers.consul.get(f"/v1/config/service-defaults/{service}")
    protocol = entry.get("Protocol") or "tcp"
    if protocol == "tcp":
        return ok(f"service-defaults of {service}: protocol tcp")
    return warning(
        f"service-defaults of {service}: protocol {protocol}",
        f"{facts.set('registry.consulProtocol', 'tcp')}\n{facts.up}",
    )


def settings_sound(facts: Facts) -> Finding:
    """The settings leave the registry neither closed to all nor open to more than most want.

    Symptom: Every log-in gets 401; or strangers can push.

    Cause: A setting that is allowed, and rarely meant: no users, no authentication, no TLS, every network.

    Fix: the setting that the message names.
    """
    found = warnings(facts.settings)
    if not found:
        return ok("nothing in the settings is unusual")
    return warning("; ".join(found), f"${{EDITOR:-vi}} Pulumi.{facts.settings.stack}.yaml\n{facts.up}")


CHECKS = (
    service_registered,
    service_healthy,
    registry_answers,
    nomad_alone,
    mesh_protocol,
    settings_sound,
)


def job_fix(facts: Facts, name: str) -> str:
    """Name what brings another job of the stack back, or tells why it does not run."""
    try:
        job = facts.servers.nomad.get(f"/v1/job/{name}", namespace=facts.settings.registry.namespace)
    except AnswerError as error:
        if error.status != 404:
            raise
        return facts.up
    dead = any(each.job == name for each in facts.dead_jobs())
    return facts.up if job["Stop"] or dead else facts.nomad("job status", name)


def _ended(port: int) -> str:
    """The command that ends what listens on a port: ours may run there too, and have the same name."""
    return f"kill $(ss -Hltnp 'sport = :{port}' | sed 's/.*pid=//; s/,.*//' | sort -u)"


def _nomad_clients(facts: Facts) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Find the clients of Nomads that this Consul knows: of ours, and of others."""
    nomad = facts.servers.nomad
    addresses = {nomad.get(f"/v1/node/{node['ID']}")["HTTPAddr"] for node in nomad.get("/v1/nodes")}
    found = facts.servers.consul.get(f"/v1/catalog/service/{_CLIENT}")
    ours = [each for each in found if _address(each) in addresses]
    return ours, [each for each in found if each not in ours]


def _address(instance: Mapping[str, Any]) -> str:
    return f"{instance['ServiceAddress'] or instance['Address']}:{instance['ServicePort']}"

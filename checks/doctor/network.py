"""The way from a client to the registry: name, ports, Traefik."""

import httpx

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.doctor.traefik import unseen_service
from checks.ports import is_open
from jobs.registry import route_tags
from jobs.tasks.freeze_record import MODE_HEADER

_TIMEOUT = httpx.Timeout(10, connect=3)  # seconds; on the same network


def name_resolves(facts: Facts) -> Finding:
    """The registry's name resolves.

    Symptom: "could not resolve host", "no such host".

    Cause: The name is not in DNS, and not in `/etc/hosts` of this machine.

    Fix: a record in DNS, or as root `echo 'ADDRESS registry.homelab.local' >> /etc/hosts`.
    """
    hostname = facts.settings.registry.hostname
    found = facts.addresses()
    if found:
        return ok(f"{hostname} is {', '.join(found)}")
    address = facts.service_address() or "ADDRESS"
    return failure(f"{hostname} does not resolve here", f"echo '{address} {hostname}' >> /etc/hosts")


def name_leads_there(facts: Facts) -> Finding:
    """The name leads to a machine that serves the registry.

    Symptom: Connection refused, or another machine's pages, though everything runs.

    Cause: DNS or `/etc/hosts` has an old address, or Traefik is down.

    Fix: `systemctl start traefik`; else the right address in DNS or `/etc/hosts`.
    """
    hostname, port = facts.settings.registry.hostname, facts.client_port
    addresses = facts.addresses()
    if not addresses:
        return not_looked_at(f"{hostname} does not resolve")
    closed = [address for address in addresses if not is_open(address, port)]
    if not closed:
        return ok(f"port {port} of {', '.join(addresses)} is open")
    what = f"nothing listens on port {port} of {', '.join(closed)}, which is {hostname} here"
    service = facts.service_address()
    if service and service not in addresses and is_open(service, port):
        return failure(what, _right_line(service, hostname))
    if facts.settings.traefik_address:
        return failure(what, "systemctl start traefik   # on its machine; or set tls.port")
    return failure(what, facts.why)


def port_reachable(facts: Facts) -> Finding:
    """The registry's own port is open under its name.

    Symptom: `docker push registry.homelab.local:5000/…` says connection refused or times out.

    Cause: The name leads to Traefik's machine and the registry runs on another; a firewall is between; or
    `access.bind` lets it listen on another address.

    Fix: use the address without the port, which goes through Traefik; or open the port in the firewall.
    """
    registry, access = facts.settings.registry, facts.settings.access
    addresses = facts.addresses()
    if registry.is_shared:
        return not_looked_at("several instances have ports that Nomad chooses")
    if not addresses or not facts.runs:
        return not_looked_at("the name does not resolve, or the job does not run")
    closed = [address for address in addresses if not is_open(address, registry.port)]
    if not closed:
        return ok(f"port {registry.port} of {registry.hostname} is open")
    if access.bind:
        return ok(f"port {registry.port} listens on {access.bind} only (access.bind)")
    what = f"port {registry.port} of {', '.join(closed)} ({registry.hostname}) is closed from here"
    if through_traefik := facts.settings.traefik_address:
        return warning(what, f"docker login {through_traefik}   # and push there: it goes through Traefik")
    return warning(what, _right_line(facts.service_address() or "ADDRESS", registry.hostname))


def traefik_routes(facts: Facts) -> Finding:
    """Traefik leads the name to the registry.

    Symptom: 404 "page not found", 403, 502, 503 or 504 from Traefik.

    Cause: 404: Traefik does not know the service: it is not healthy in Consul, `tls.entryPoint` is another
    one, or Traefik's Consul catalog provider does not reach Consul or has `constraints`. 403:
    `access.allowedCidrs`. 50x: Traefik does not reach the registry's address.

    Fix: `pulumi up` if the service lacks its tags; else Traefik's log and the settings above.
    """
    settings, url = facts.settings, facts.settings.registry_url
    if not settings.traefik_address:
        return not_looked_at("tls.mode is plain: Traefik is not in the way")
    try:
        # Unverified: which certificate that is, is another check's, and nothing secret is sent.
        answer = httpx.get(f"{url}/v2/", verify=False, timeout=_TIMEOUT, trust_env=False)  # noqa: S501
    except httpx.ReadTimeout:
        # It tries the registry again for as long as that may take to start again (jobs/traefik_tags.py).
        what = f"{url} does not answer within {_TIMEOUT.read} s: Traefik waits for the registry"
        return failure(what, facts.why)
    except httpx.TransportError as error:
        what = f"{url} does not answer: {error or type(error).__name__}"
        return failure(what, "systemctl start traefik   # on its machine, or see its log")
    if MODE_HEADER in answer.headers or "Docker-Distribution-Api-Version" in answer.headers:
        return ok(f"{url}/v2/ answers {answer.status_code} from the registry")
    what = f"{url}/v2/ answers {answer.status_code}, not from the registry"
    if answer.status_code == 403 and settings.access.allowed_cidrs:
        further = f"access.allowedCidrs[{len(settings.access.allowed_cidrs)}]"
        return failure(
            what, f"{facts.set(further, 'NETWORK')}   # this machine's, as 10.0.0.0/24\n{facts.up}"
        )
    if answer.status_code in (502, 503, 504):
        return failure(what, facts.why)
    return failure(what, _route_fix(facts))


CHECKS = (name_resolves, name_leads_there, port_reachable, traefik_routes)


def _right_line(address: str, hostname: str) -> str:
    """Replace a name's line; the file stays the same one, which in a container it has to.

    It is read before it is opened and written at once: who looks up a name meanwhile would find none.
    """
    return (
        f"others=$(grep -vwF {hostname} /etc/hosts); "
        f"printf '%s\\n' \"$others\" '{address} {hostname}' > /etc/hosts"
    )


def _route_fix(facts: Facts) -> str:
    instances, settings = facts.instances(), facts.settings
    if not instances:
        return facts.why
    tags = {tag for each in instances for tag in each["Service"]["Tags"] or ()}
    if set(route_tags(settings, settings.registry.service)) - tags:
        return facts.up
    return unseen_service(facts)

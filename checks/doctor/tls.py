"""The certificates that clients meet: their name, their end, and who trusts them."""

from datetime import UTC, datetime

from checks.certificate import Certificate, NotTrusted, docker_trust, require_trusted
from checks.docker_engine import takes_unverified
from checks.doctor.facts import Facts, host_of
from checks.doctor.finding import Finding, failure, not_looked_at, ok, warning
from checks.doctor.login import speaks_plain
from checks.errors import CheckError
from checks.status import authority_trust
from config.names import Names

_DAY = 24 * 3600
_LEAST_DAYS = 14  # whoever renews certificates of 90 days does it a month before their end
# A certificate of Vault's is renewed at nine tenths of its life; what is left of it then, less some time.
_LEAST_SHARE = 0.08


def certificate_name(facts: Facts) -> Finding:
    """The certificate is for the registry's name.

    Symptom: `x509: certificate is valid for …, not registry.homelab.local`.

    Cause: Traefik shows its own default certificate, since it has none for the name.

    Fix: give Traefik a certificate for the name, or let it fetch one: `pulumi config set --path
    docker-registry:tls.certResolver NAME`, then `pulumi up`.
    """
    found = _first(facts)
    hostname = facts.settings.registry.hostname
    if _fits(hostname, found.names):
        return ok(f"the certificate is for {hostname}, of {found.issuer}")
    what = (
        f"the certificate is for {', '.join(found.names) or 'no name'}, of {found.issuer}, not for {hostname}"
    )
    if facts.settings.tls.mode == "registry":
        return failure(what, facts.up)
    resolver = facts.set("tls.certResolver", "NAME")
    return failure(what, f"{resolver}\n{facts.up}\n# or give Traefik a certificate for {hostname}")


def certificate_days(facts: Facts) -> Finding:
    """The certificate does not end soon.

    Symptom: `x509: certificate has expired`.

    Cause: Nobody renewed it: Traefik's resolver fails, or Nomad cannot ask Vault.

    Fix: `tls.mode: traefik`: a new certificate for Traefik, whose log tells why the resolver fails.
    `tls.mode: registry`: mend Vault, then `nomad alloc stop ID`.
    """
    found, registry = _first(facts), facts.settings.tls.mode == "registry"
    left = found.end - facts.clock()
    until = (
        f"{datetime.fromtimestamp(found.end, UTC):%Y-%m-%d %H:%M} UTC" if found.end < 2**37 else "for ever"
    )
    least = _LEAST_SHARE * (found.end - found.start) if registry else _LEAST_DAYS * _DAY
    if left > least:
        return ok(f"it holds {left / _DAY:.0f} days more, until {until}")
    logs = "journalctl -u traefik   # why its resolver fails; or give it a new certificate"
    fix = _renew(facts) if registry else logs
    if left <= 0:
        return failure(f"the certificate ended at {until}", fix)
    return warning(f"the certificate ends in {left / _DAY:.1f} days, at {until}", fix)


def certificate_of_authority(facts: Facts) -> Finding:
    """The registry's certificate is signed by the authority that clients are given.

    Symptom: `x509: certificate signed by unknown authority`, though the client trusts what `python -m ops
    trust` prints.

    Cause: The authority was replaced, and the registry goes on with the old certificate.

    Fix: `nomad alloc stop ID` gives it a new one.
    """
    settings = facts.settings
    if settings.tls.mode != "registry":
        return not_looked_at(f"tls.mode is {settings.tls.mode}: Vault signs no certificate")
    places = [(host_of(each), each["Service"]["Port"]) for each in facts.instances()]
    if not places:
        return not_looked_at("Consul does not know where the registry is")
    trust = authority_trust(settings, facts.servers.vault)
    for host, port in places:
        try:
            require_trusted(trust, host, port, settings.registry.hostname)
        except NotTrusted as error:
            what = f"the authority at {settings.pki_mount}/ does not vouch for that of {host}:{port}: {error}"
            return failure(what, _renew(facts))
    return ok(f"the authority at {settings.pki_mount}/ vouches for it")


def docker_trusts(facts: Facts) -> Finding:
    """Docker on this machine takes the registry's certificates.

    Symptom: `x509: certificate signed by unknown authority`, or `server gave HTTP response to HTTPS
    client`.

    Cause: The certificate's authority is not in `/etc/docker/certs.d/ADDRESS/` of this machine; a DSM
    update removes it. Or the address speaks plain HTTP.

    Fix: `python -m ops trust` prints the commands for each kind of client.
    """
    settings = facts.settings
    refused, taken = [], []
    for address in _addresses(settings):
        if takes_unverified(facts.engine(), address, facts.addresses()):
            taken.append(f"{address} unverified (a loopback address, or insecure-registries)")
        elif settings.tls.mode == "plain":
            refused.append((address, "it speaks plain HTTP", _insecure(address)))
        else:
            host, port = _place(address)
            try:
                require_trusted(docker_trust(address), host, port, settings.registry.hostname)
                taken.append(address)
            except NotTrusted as error:
                refused.append((address, str(error), _trust(facts, address)))
    if not refused:
        return ok(f"dockerd takes {' and '.join(taken)}")
    what = "; ".join(f"dockerd refuses {address}: {reason}" for address, reason, _ in refused)
    return failure(what, "\n".join(fix for _, _, fix in refused))


CHECKS = (certificate_name, certificate_days, certificate_of_authority, docker_trusts)


def _first(facts: Facts) -> Certificate:
    """Read the certificate at the address that people use. Raises CheckError."""
    if facts.settings.tls.mode == "plain":
        raise CheckError("tls.mode is plain: there is no certificate")
    return facts.certificate()


def _addresses(names: Names) -> list[str]:
    """Give the addresses that docker is to reach by TLS, or with mode plain at all."""
    plain_too = names.tls.mode == "plain"
    return [each for each in names.client_addresses if plain_too or not speaks_plain(names, each)]


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.partition(":")
    return host, int(port or 443)


def _fits(hostname: str, names: tuple[str, ...]) -> bool:
    parent = hostname.partition(".")[2]
    return hostname in names or f"*.{parent}" in names


def _renew(facts: Facts) -> str:
    allocation = facts.allocation()
    return facts.nomad("alloc stop", allocation["ID"]) if allocation else facts.up


def _insecure(address: str) -> str:
    return (
        f'"insecure-registries": ["{address}"]   # in /etc/docker/daemon.json, then: systemctl reload docker'
    )


def _trust(facts: Facts, address: str) -> str:
    folder, settings = f"/etc/docker/certs.d/{address}", facts.settings
    if settings.tls.mode == "registry":
        return f"mkdir -p {folder} && {facts.ops('trust --pem')} > {folder}/ca.crt"
    host, port = _place(address)
    shown = f"openssl s_client -connect {host}:{port} -servername {host} </dev/null 2>/dev/null"
    return f"mkdir -p {folder} && {shown} | openssl x509 -fingerprint -sha256 -out {folder}/ca.crt"

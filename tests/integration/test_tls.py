"""TLS on the registry's own port, and clients that trust it or not.

Docker checks no certificate on a loopback address, so the registry listens on the bridge's one here.
"""

import contextlib
import json
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import hvac
import pytest
import yaml
from documents import block
from ssh_server import ssh_server
from upstream import Upstream
from waiting import until

from devcluster import hosts
from devcluster.stack import REPOSITORY

HOSTNAME = "tls.homelab.local"


@pytest.fixture(scope="module")
def bridge(deployment):
    """The bridge's address; the host name is there for as long as the tests need it."""
    shown = subprocess.run(
        ["ip", "-json", "address", "show", "dev", deployment.cluster.instance.label],
        capture_output=True,
        text=True,
        check=True,
    )
    address = json.loads(shown.stdout)[0]["addr_info"][0]["local"]
    with resolving(address):
        yield address


@contextlib.contextmanager
def resolving(address):
    """Let the host name mean an address, in place of any that it meant."""
    text = hosts.HOSTS.read_text()
    meant = next((line for line in text.splitlines() if HOSTNAME in line), None)
    wanted = f"{address} {HOSTNAME} # docker-registry test"
    hosts.edit(hosts.HOSTS, add=wanted, remove=meant)
    try:
        yield
    finally:
        hosts.edit(hosts.HOSTS, add=meant, remove=wanted)


@pytest.fixture(scope="module")
def upstream(bridge):
    """A registry for a mirror to start by; it lets nobody in."""
    made = Upstream(bridge, registry_port=None, login="nobody:knows")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def registry(deployment, bridge, upstream):
    """The stack with TLS on its own port, and a mirror."""
    before = deployment.settings_text()
    mirror = {"name": "quay", "upstream": upstream.url, "port": mirror_port(deployment), "auth": "none"}
    set_mirrors(deployment, mirror)
    deployment.change("tls", mode="registry")
    deployment.change("access", bind=bridge)
    deployment.change("registry", hostname=HOSTNAME)
    deployment.change("maintenance", garbageCollection={})
    deployment.up()
    until(lambda: shown_by_both(deployment))
    yield deployment
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


def set_mirrors(registry, *mirrors):
    content = yaml.safe_load(registry.settings_text())
    content["config"]["docker-registry:mirrors"] = [*mirrors]
    registry.restore(yaml.safe_dump(content, sort_keys=False))


def mirror_port(registry):
    return registry.ports.registry + 10


def answers(registry, authority):
    """Whether the port asks who is there, shown a certificate of this authority."""
    url = f"https://{HOSTNAME}:{registry.ports.registry}/v2/"
    try:
        return httpx.get(url, verify=ssl.create_default_context(cadata=authority)).status_code == 401
    except httpx.TransportError:
        return False


def certificate(address):
    """The certificate that a server shows for the host name, None while there is none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        contextlib.suppress(OSError),
        socket.create_connection(address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=HOSTNAME) as connection,
    ):
        return connection.getpeercert(binary_form=True)
    return None


def shown_by_both(registry):
    """The certificate that the port and Traefik show: Traefik has one of its own while it routes nothing."""
    shown = certificate(registry.port_address)
    return shown == certificate(registry.traefik_address) and shown


def reference(registry, repository="tls/hello"):
    return f"{HOSTNAME}:{registry.ports.registry}/{repository}:1"


def push(registry, check=True):
    registry.docker("tag", "registry:3", reference(registry))
    return registry.docker("push", "--quiet", reference(registry), check=check)


def test_a_client_that_does_not_trust_the_authority_is_refused(registry):
    words = "certificate signed by unknown authority"
    assert words in push(registry, check=False)
    assert words in registry.run("crane", "catalog", f"{HOSTNAME}:{registry.ports.registry}", check=False)
    with resolving("127.0.0.1"):
        traefik = f"{HOSTNAME}:{registry.ports.traefik_tls}"
        assert words in registry.run("crane", "catalog", traefik, check=False)


def test_the_seeds_own_commands_work_on_the_port(registry):
    folder = Path(f"/etc/docker/certs.d/{HOSTNAME}:{registry.ports.registry}")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / "ca.crt").write_text(registry.output("caCertificate"))
        registry.login(f"{HOSTNAME}:{registry.ports.registry}")
        push(registry)
        registry.docker("rmi", reference(registry))
        registry.docker("pull", "--quiet", reference(registry))
    finally:
        shutil.rmtree(folder)


def test_traefik_passes_the_same_certificate_through_and_serves_clients(registry):
    until(lambda: shown_by_both(registry))
    port = registry.ports.traefik_tls
    reference = f"{HOSTNAME}:{port}/tls/traefik"
    with resolving("127.0.0.1"):
        until(lambda: logs_in(registry, port))
        registry.docker("tag", "registry:3", f"{reference}:1")
        registry.docker("push", "--quiet", f"{reference}:1")
        assert registry.crane("ls", reference).split() == ["1"]
    until(lambda: not logs_in(registry, port))


def test_maintenance_asks_the_port_by_tls_whether_the_registry_is_read_only(registry):
    told = registry.run("python", "-m", "ops", "gc", "--stack", "dev")

    assert re.search(r"docker-registry is read-only after .*\nfreed \d+ blobs?", told, re.DOTALL)
    assert "docker-registry is writable again after " in told
    until(lambda: shown_by_both(registry))


def logs_in(registry, port):
    """Whether dockerd finds Traefik under the name: like any Go program it keeps /etc/hosts for a while."""
    command = ["docker", "login", "--username", "demo", "--password-stdin", f"{HOSTNAME}:{port}"]
    given = {"input": registry.password, "env": registry.cluster.env}
    return subprocess.run(command, **given, capture_output=True, text=True, check=False).returncode == 0


def test_a_mirrors_certificate_has_the_registrys_name_and_its_own(registry, bridge):
    context = ssl.create_default_context(cadata=registry.output("caCertificate"))
    own, port = f"quay.{HOSTNAME}", (bridge, mirror_port(registry))

    until(lambda: all(shakes_hands(port, context, name) for name in (HOSTNAME, own)))
    until(lambda: shakes_hands(registry.traefik_address, context, own))


def shakes_hands(address, context, name):
    """Whether a server shows a certificate that is trusted and has the name."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name),
    ):
        return True
    return False


def test_tls_1_1_is_refused_and_1_2_is_spoken(registry):
    for address in (registry.port_address, registry.traefik_address):
        assert handshake(address, "-tls1_2").returncode == 0
        old = handshake(address, "-tls1_1")
        assert old.returncode != 0
        assert "alert protocol version" in old.stderr


def handshake(address, version):
    host, port = address
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", HOSTNAME, version]
    # OpenSSL itself speaks TLS 1.1 only when it is told to take any cipher.
    return subprocess.run(
        [*command, "-cipher", "DEFAULT:@SECLEVEL=0"], input="", capture_output=True, text=True, check=False
    )


def test_the_bound_address_is_the_only_one_that_listens(registry, bridge):
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    addresses = [line.split()[3] for line in listening.splitlines()]
    for port in (registry.ports.registry, registry.ports.registry_debug):
        assert [each for each in addresses if each.endswith(f":{port}")] == [f"{bridge}:{port}"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", registry.ports.registry), timeout=5)


def test_an_address_that_no_client_has_is_refused_with_the_stanza_to_add(registry):
    before = registry.settings_text()
    registry.change("access", bind="203.0.113.7")
    try:
        output = registry.preview(check=False)
    finally:
        registry.restore(before)

    assert "access.bind" in output
    assert 'cidr = "203.0.113.7/32"' in output


def test_up_places_the_authority_on_trusted_hosts_and_removes_it(registry):
    before = registry.settings_text()
    addresses = [f"{HOSTNAME}:{each}" for each in (registry.ports.registry, registry.ports.traefik_tls)]
    files = [Path(f"/etc/docker/certs.d/{address}/ca.crt") for address in addresses]
    with ssh_server() as host:
        try:
            trusted = {"address": "127.0.0.1", "port": host.port, "user": "root"}
            trusted["hostKey"] = host.host_key
            registry.change("access", trustedHosts=[trusted])
            registry.encrypt("access.trustedHosts[0].privateKey", host.private_key)
            registry.up()
            assert [file.read_text().strip() for file in files] == [registry.output("caCertificate")] * 2
            assert registry.changes() == {}
            shown = registry.run("pulumi", "stack", "export", "--stack", "dev")
            shown += registry.run("pulumi", "preview", "--diff", "--stack", "dev")
            assert host.private_key.splitlines()[1] not in shown
            registry.login(addresses[0])
            push(registry)
        finally:
            registry.restore(before)
            registry.up()
    assert not any(file.parent.exists() for file in files)


def test_a_new_authority_takes_the_steps_of_the_documentation(registry):
    old, before = registry.output("caCertificate"), until(lambda: certificate(registry.port_address))
    steps = (REPOSITORY / "docs" / "security.md").read_text()
    replace = "pulumi up --replace '**::registry-ca-root'"
    restart = block(
        "docs/security.md",
        """nomad job allocs -t '{{range .}}{{if eq .ClientStatus "running"}}{{.ID}}{{end}}{{end}}' """
        "docker-registry |",
    )
    assert replace in steps

    registry.run("sh", "-ec", f"{replace} --yes --skip-preview --stack dev")

    assert registry.output("caCertificate") != old
    assert until(lambda: certificate(registry.port_address)) == before
    found = registry.doctor()["certificate-of-authority"]
    assert (found["state"], found["fix"].partition(" -")[0]) == ("failure", "nomad alloc stop")
    registry.shell(restart.text)
    until(lambda: certificate(registry.port_address) not in (before, None))
    assert registry.doctor()["certificate-of-authority"]["state"] == "ok"
    url = f"https://{HOSTNAME}:{registry.ports.registry}/v2/"
    assert httpx.get(url, verify=registry.trust()).status_code == 401
    assert registry.changes() == {}


def test_a_renewed_certificate_of_an_authority_that_is_there_is_served_without_an_up(registry):
    vault = hvac.Client(url=registry.cluster.vault_address, token=registry.cluster.vault_token)
    vault.sys.enable_secrets_engine("pki", path="homelab-pki")
    vault.write_data("homelab-pki/root/generate/internal", data={"common_name": "Homelab", "ttl": "24h"})
    # The role's limit is what makes the certificate end so soon; nobody would want that.
    vault.write_data(
        "homelab-pki/roles/web",
        data={"allowed_domains": HOSTNAME, "allow_bare_domains": True, "max_ttl": "40s", "key_type": "ec"},
    )
    before = registry.settings_text()
    try:
        registry.change("tls", mode="registry", authority={"mount": "homelab-pki", "role": "web"})
        set_mirrors(registry)  # the role is for the one name
        registry.up()
        authority = vault.adapter.get("/v1/homelab-pki/ca/pem").text.strip()
        assert registry.output("caCertificate") == authority
        assert registry.changes() == {}
        first = until(lambda: certificate(registry.port_address))
        allocation = registry.allocation()
        until(lambda: certificate(registry.port_address) not in (first, None))
        until(lambda: answers(registry, authority))  # it starts anew with each certificate
        assert registry.allocation() == allocation
    finally:
        registry.restore(before)
        registry.up()
        vault.sys.disable_secrets_engine("homelab-pki")
    until(lambda: shown_by_both(registry))

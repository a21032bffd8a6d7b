import pytest
import trustme

from checks.certificate import Certificate
from checks.doctor import tls
from checks.doctor.facts import Facts
from checks.doctor.tls import certificate_days, certificate_name, certificate_of_authority, docker_trusts

NOW = 1_800_000_000
DAY = 24 * 3600
NAME = "registry.homelab.local"
SECURE = {"RegistryConfig": {"IndexConfigs": {}, "InsecureRegistryCIDRs": ["127.0.0.0/8"]}}
REGISTRY = {"tls": {"mode": "registry"}}


@pytest.fixture
def shown(monkeypatch):
    """Let the address show a certificate."""

    def make(days=90, left=60, names=(NAME,)):
        end = NOW + left * DAY
        found = Certificate(start=end - days * DAY, end=end, names=names, issuer="Homelab CA")
        monkeypatch.setattr("checks.doctor.facts.shown_certificate", lambda *_: found)

    return make


@pytest.mark.parametrize("names", [(NAME,), ("*.homelab.local", "x")])
def test_a_certificate_for_the_name_is_ok(look, shown, names):
    shown(names=names)

    assert look(certificate_name).state == "ok"


def test_traefiks_default_certificate_is_a_failure(look, shown):
    shown(names=("0123.traefik.default",))

    found = look(certificate_name)

    assert found.state == "failure"
    assert "for 0123.traefik.default, of Homelab CA, not for registry.homelab.local" in found.what
    assert "docker-registry:tls.certResolver NAME --stack dev" in found.fix
    assert look(certificate_name, sections=REGISTRY).fix == "pulumi up --stack dev"


@pytest.mark.parametrize(
    ("life", "sections", "state"),
    [
        ((90, 60), {}, "ok"),
        ((90, 13), {}, "warning"),
        ((90, -1), {}, "failure"),
        ((30, 4), REGISTRY, "ok"),
        ((30, 2), REGISTRY, "warning"),
        ((30, -1), REGISTRY, "failure"),
    ],
)
def test_a_certificate_that_nobody_renewed_is_told_in_time(look, shown, life, sections, state):
    shown(*life)

    found = look(certificate_days, sections=sections)

    assert found.state == state
    if sections and state != "ok":
        assert found.fix.startswith("nomad alloc stop -address=http://127.0.0.1:4646")


def test_without_tls_there_is_no_certificate(look):
    plain = {"tls": {"mode": "plain"}, "access": {"bind": "127.0.0.1"}}

    assert look(certificate_name, sections=plain).state == "not looked at"


@pytest.fixture
def registry(web_server, well):
    """A registry with a certificate of one authority, and Vault's answer with another or the same."""
    signer, other = trustme.CA(), trustme.CA()
    port = web_server(body="", certificate=signer.issue_cert(NAME)).port
    [instance] = well["/v1/health/service/registry"]["body"]
    instance["Service"]["Port"] = port

    def answers(same):
        pem = (signer if same else other).cert_pem.bytes().decode()
        return {"/v1/docker-registry-pki/ca/pem": {"status": 200, "body": pem}}

    return answers


def test_a_certificate_of_an_authority_that_was_replaced_is_a_failure(look, registry):
    assert look(certificate_of_authority, registry(same=True), sections=REGISTRY).state == "ok"

    found = look(certificate_of_authority, registry(same=False), sections=REGISTRY)

    assert found.state == "failure"
    assert found.fix.startswith("nomad alloc stop -address=")
    assert look(certificate_of_authority).state == "not looked at"


@pytest.fixture
def client(monkeypatch, web_server, tmp_path):
    """A machine with a Docker that takes no unverified certificate, and its folder of certificates."""
    monkeypatch.setattr(Facts, "engine", lambda _: SECURE)
    monkeypatch.setattr(Facts, "addresses", lambda _: ("192.168.1.5",))
    authority = trustme.CA()
    port = web_server(body="", certificate=authority.issue_cert(NAME)).port
    trusted, required = tls.docker_trust, tls.require_trusted
    monkeypatch.setattr(tls, "docker_trust", lambda address: trusted(address, tmp_path))
    monkeypatch.setattr(
        tls, "require_trusted", lambda context, host, port, name: required(context, "127.0.0.1", port, name)
    )

    def trust(address):
        (tmp_path / address).mkdir()
        (tmp_path / address / "ca.crt").write_bytes(authority.cert_pem.bytes())

    return port, trust


def test_an_authority_that_docker_does_not_know_is_given_to_it(look, client):
    port, trust = client
    address, sections = f"{NAME}:{port}", {"tls": {"port": port}}

    found = look(docker_trusts, sections=sections)

    assert found.state == "failure"
    assert f"dockerd refuses {address}: unable to get local issuer certificate" in found.what
    assert found.fix.startswith(
        f"mkdir -p /etc/docker/certs.d/{address} && openssl s_client -connect {address}"
    )
    trust(address)
    assert look(docker_trusts, sections=sections).what == f"dockerd takes {address}"


def test_the_registrys_own_authority_is_given_by_ops_trust(look, client):
    port, _ = client

    found = look(
        docker_trusts, sections={"tls": {"mode": "registry", "port": port}, "registry": {"port": port}}
    )

    assert "python -m ops trust --pem --stack dev > /etc/docker/certs.d/" in found.fix


def test_plain_http_is_refused_unless_docker_is_told_to_take_it(look, client, monkeypatch):
    sections = {"tls": {"mode": "plain", "allowPlain": True}}

    found = look(docker_trusts, sections=sections)

    assert "it speaks plain HTTP" in found.what
    assert f'"insecure-registries": ["{NAME}:5000"]' in found.fix
    monkeypatch.setattr(Facts, "addresses", lambda _: ("127.0.0.1",))
    assert look(docker_trusts, sections=sections).state == "ok"

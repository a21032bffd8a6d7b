import ssl

import pytest
import trustme

from checks.certificate import NotTrusted, docker_trust, require_trusted, shown_certificate
from checks.errors import CheckError

NAME = "registry.homelab.local"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA(organization_name="Homelab")


@pytest.fixture
def server(web_server, authority):
    return web_server(body="", certificate=authority.issue_cert(NAME))


def test_a_certificate_is_read_whoever_signed_it(server):
    found = shown_certificate("127.0.0.1", server.port, NAME)

    assert found.names == (NAME,)
    assert found.issuer.startswith("Homelab")
    assert found.start < 1_800_000_000 < found.end


def test_what_speaks_no_tls_shows_no_certificate(web_server):
    port = web_server(body="").port

    with pytest.raises(CheckError, match=f"127.0.0.1:{port} shows no certificate"):
        shown_certificate("127.0.0.1", port, NAME)


def test_docker_trusts_what_is_in_its_folder_for_the_address(server, authority, tmp_path):
    with pytest.raises(NotTrusted, match="unable to get local issuer certificate"):
        require_trusted(docker_trust(NAME, tmp_path), "127.0.0.1", server.port, NAME)

    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "ca.crt").write_bytes(authority.cert_pem.bytes())
    require_trusted(docker_trust(NAME, tmp_path), "127.0.0.1", server.port, NAME)


def test_docker_trusts_a_certificate_that_is_in_its_folder_itself(web_server, authority, tmp_path):
    certificate = authority.issue_cert(NAME)
    port = web_server(body="", certificate=certificate).port
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "shown.crt").write_bytes(certificate.cert_chain_pems[0].bytes())

    require_trusted(docker_trust(NAME, tmp_path), "127.0.0.1", port, NAME)


def test_a_certificate_for_another_name_is_not_trusted(server, authority):
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())

    with pytest.raises(NotTrusted, match="Hostname mismatch"):
        require_trusted(context, "127.0.0.1", server.port, "other.homelab.local")


def test_a_file_that_is_no_certificate_is_named(tmp_path):
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "ca.crt").write_text("nothing")

    with pytest.raises(CheckError, match=r"cannot read .*ca\.crt"):
        docker_trust(NAME, tmp_path)

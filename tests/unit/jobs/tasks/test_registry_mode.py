import socket
import ssl

import pytest
import trustme

from jobs.tasks.registry_mode import Answer, answer_at


@pytest.fixture
def traefik(registry_server):
    """The registry behind TLS, as Traefik serves it; its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("registry.homelab.local").configure_cert(context)
    server = registry_server._server
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return f"localhost:{registry_server.port}"


def test_traefik_tells_the_mode_of_the_registry_that_it_leads_to(traefik, registry_server):
    assert answer_at(traefik) == Answer("read-write", None)

    registry_server.variable = lambda: {"Items": {"mode": "read-only", "owner": "me"}}
    assert answer_at(traefik) == Answer("read-only", "me")


def test_an_answer_of_traefiks_own_is_not_the_registrys(traefik, registry_server, monkeypatch):
    monkeypatch.setattr("jobs.tasks.registry_mode.MODE_HEADER", "X-Not-There")

    assert answer_at(traefik) is None


def test_where_nobody_listens_or_no_such_name_is_known_there_is_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert answer_at(f"127.0.0.1:{port}") is None
    assert answer_at("registry.invalid:443") is None

import json
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest

from jobs.tasks.nomad_api import PATIENCE_SECONDS, Nomad, NomadError


class SocketServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def secrets(tmp_path):
    (tmp_path / "nomad_token").write_text("jwt\n")
    return tmp_path


@pytest.fixture
def agent(secrets):
    """An agent behind the socket: gives its answers in turn, the last one for ever; keeps every request."""
    requests, answers = [], []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            requests.append((self.command, self.path, self.headers["Authorization"], body.decode()))
            status, text = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_PUT = do_DELETE = answer  # noqa: N815 - the base class's names

        def address_string(self):
            return "socket"

        def log_message(self, *_):
            pass

    server = SocketServer(str(secrets / "api.sock"), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield requests, answers
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def nomad(secrets):
    return lambda: Nomad.of_task({"NOMAD_SECRETS_DIR": str(secrets), "NOMAD_NAMESPACE": "apps"})


def test_each_request_brings_the_tasks_identity_and_namespace(agent, nomad):
    requests, answers = agent
    answers.append((200, json.dumps({"ModifyIndex": 7})))

    assert nomad().get("/v1/var/nomad/jobs/x") == {"ModifyIndex": 7}
    nomad().put("/v1/var/nomad/jobs/x", {"Items": {}}, cas=7)

    assert requests == [
        ("GET", "/v1/var/nomad/jobs/x?namespace=apps", "Bearer jwt", ""),
        ("PUT", "/v1/var/nomad/jobs/x?namespace=apps&cas=7", "Bearer jwt", '{"Items": {}}'),
    ]


def test_a_log_is_read_as_it_is(agent, nomad):
    agent[1].append((200, "no json\n"))

    assert nomad().text("/v1/client/fs/logs/a", task="evict") == "no json\n"


def test_what_is_not_there_is_none(agent, nomad):
    agent[1].append((404, "variable not found"))

    assert nomad().get("/v1/var/nomad/jobs/x") is None


@pytest.mark.parametrize("status", [403, 409])
def test_a_refusal_is_told_at_once_in_nomads_words(agent, nomad, status):
    agent[1].append((status, "cas error:\n expected 0"))

    with pytest.raises(NomadError, match=f"answered {status}: cas error: expected 0") as error:
        nomad().delete("/v1/var/x", cas=0)

    assert error.value.status == status
    assert len(agent[0]) == 1


def test_an_agent_that_starts_again_is_waited_for(agent, nomad, clock):
    agent[1].extend([(500, "No cluster leader"), (502, ""), (200, "[]")])

    assert nomad().get("/v1/jobs") == []
    assert clock.now > 0


def test_an_agent_that_stays_away_is_told(nomad, secrets, clock):
    (secrets / "api.sock").touch()

    with pytest.raises(NomadError, match=r"GET /v1/jobs failed: .*[Rr]efused"):
        nomad().get("/v1/jobs")
    assert clock.now > PATIENCE_SECONDS


def test_a_nomad_without_the_task_api_is_told(nomad):
    with pytest.raises(NomadError, match=r"this Nomad client has no task API, which 1\.5 brought"):
        nomad()


def test_an_agent_that_hangs_costs_no_more_than_the_patience(agent, secrets):
    agent[1].append((200, "[]"))
    nomad = Nomad(secrets, "apps", patience=0.2)
    with socket.socket(socket.AF_UNIX) as hanging:
        (secrets / "api.sock").unlink()
        hanging.bind(str(secrets / "api.sock"))
        hanging.listen()
        began = time.monotonic()
        with pytest.raises(NomadError, match="timed out"):
            nomad.get("/v1/jobs")
    assert time.monotonic() - began < 5

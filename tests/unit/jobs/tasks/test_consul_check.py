import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from jobs.tasks.consul_check import ConsulCheck, ConsulError, Report


@pytest.fixture
def consul():
    """An agent that keeps what it is told: path, token and body; asked, it gives `instances`."""
    told, codes, instances = [], [], []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.append((self.path, self.headers.get("X-Consul-Token"), body))
            self.send_response(codes[0] if codes else 200)
            self.end_headers()
            self.wfile.write(b"Permission denied" if codes else b"")

        def do_GET(self):
            found = instances if self.path == "/v1/health/service/registry-drill" else []
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.told, server.codes, server.instances = told, codes, instances
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def check(consul, token=None, **more):
    environment = {"CONSUL_ADDRESS": consul.address, "CHECK": "registry-drill", "CHECK_HOURS": "48", **more}
    return ConsulCheck.of_task(environment, token)


def test_a_report_registers_the_service_and_says_how_it_went_and_when(consul, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1000.7)

    check(consul).report(passed=True, output="all is well")

    assert consul.told == [
        (
            "/v1/agent/service/register",
            None,
            {
                "Name": "registry-drill",
                "Tags": ["traefik.enable=false"],
                "Meta": {"reported": "1000"},
                "Check": {"Name": "registry-drill", "TTL": "48h"},
            },
        ),
        (
            "/v1/agent/check/update/service:registry-drill",
            None,
            {"Status": "passing", "Output": "all is well"},
        ),
    ]


def test_a_failure_is_critical_and_its_reason_no_longer_than_consul_keeps(consul):
    check(consul).report(passed=False, output="x" * 10_000)

    assert consul.told[1][2]["Status"] == "critical"
    assert len(consul.told[1][2]["Output"]) == 2000


def instance(*statuses, meta=None):
    checks = [{"ServiceName": "registry-drill", "Status": status} for status in statuses]
    node = {"ServiceName": "", "Status": "passing"}
    return {"Service": {"Service": "registry-drill", "Meta": meta}, "Checks": [node, *checks]}


@pytest.mark.parametrize(("status", "passed"), [("passing", True), ("critical", False)])
def test_what_a_check_was_last_told_can_be_asked_for(consul, status, passed):
    consul.instances.append(instance(status, meta={"reported": "1000"}))

    assert check(consul).last() == Report(at=1000, passed=passed)


def test_a_check_that_was_never_told_anything_has_no_report(consul):
    assert check(consul).last() is None


def test_a_report_of_an_older_version_has_no_time(consul):
    consul.instances.append(instance("passing"))

    assert check(consul).last() == Report(at=None, passed=True)


def test_a_token_is_sent_where_there_is_one(consul):
    check(consul, "token").report(passed=True, output="")

    assert [token for _, token, _ in consul.told] == ["token", "token"]


def test_a_consul_that_refuses_is_told_in_its_own_words(consul):
    consul.codes.append(403)

    with pytest.raises(ConsulError, match=r"PUT agent/service/register answered 403: Permission denied"):
        check(consul).report(passed=True, output="")


@pytest.fixture
def authority(consul):
    """Let Consul speak TLS, with a certificate of an authority of its own."""
    made, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("127.0.0.1").configure_cert(context)
    consul.socket = context.wrap_socket(consul.socket, server_side=True)
    consul.address = consul.address.replace("http:", "https:")
    return made


def test_consuls_certificate_is_checked_by_the_ca_file(consul, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    check(consul, CONSUL_CACERT=str(tmp_path / "ca.pem")).report(passed=True, output="all is well")

    assert len(consul.told) == 2


def test_a_certificate_that_is_not_trusted_is_told_with_what_to_do(consul, authority):
    with pytest.raises(ConsulError, match="is not trusted here; set consul:caFile in the stack and deploy"):
        check(consul).report(passed=True, output="")


def test_a_consul_that_is_away_is_an_error_that_names_it(consul):
    consul.address = "http://127.0.0.1:1"

    with pytest.raises(ConsulError, match=r"Consul at http://127\.0\.0\.1:1: .* failed: .*refused"):
        check(consul).report(passed=True, output="")


def test_what_does_not_speak_http_is_no_consul(consul, babbler):
    consul.address = babbler

    with pytest.raises(ConsulError, match=f"Consul at {babbler}: .* failed: nonsense"):
        check(consul).report(passed=True, output="")

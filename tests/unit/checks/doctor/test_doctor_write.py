import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from checks.doctor.facts import Facts
from checks.doctor.probe import MIB
from checks.doctor.write import image_moves, location_right

INSECURE = {"RegistryConfig": {"IndexConfigs": {}, "InsecureRegistryCIDRs": ["127.0.0.0/8"]}}
OPEN = {"auth": {"mode": "none", "allowAnonymous": True}}


class Registry(ThreadingHTTPServer):
    """Keeps what is pushed, as far as the check asks."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kept, self.asked = {}, []
        self.refuse, self.location, self.spoil = {}, "", b""
        self.limit, self.name = None, "registry"  # bytes that a request may have, and who says so


class _Handler(BaseHTTPRequestHandler):
    def _answer(self):
        url, server = urlsplit(self.path), self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server.asked.append((self.command, url.path, self.headers.get("Authorization")))
        status, headers, content = server.refuse.get(self.command), {}, b""
        if server.limit is not None and len(body) > server.limit:
            status = 413
        if status is None and self.command == "POST":
            status, headers = 202, {"Location": f"{server.location}{url.path}id?_state=x"}
        elif status is None and self.command == "PUT":
            digest = parse_qs(url.query).get("digest", [f"sha256:{hashlib.sha256(body).hexdigest()}"])[0]
            kind, _, base = ("blobs" if "/blobs/" in url.path else "manifests"), 0, url.path.split("/v2/")[1]
            name = base.partition(f"/{kind}/")[0]
            server.kept[f"/v2/{name}/{kind}/{digest}"] = server.kept[url.path] = body
            status = 201
        elif status is None and self.command == "GET":
            content = server.kept.get(url.path, b"") + server.spoil
            status = 200 if url.path in server.kept else 404
        elif status is None:
            status = 202 if server.kept.pop(url.path, None) is not None else 404
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the base class's names

    def version_string(self):
        return self.server.name

    def log_message(self, *args):
        pass


@pytest.fixture
def registry():
    with Registry() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def write(look, registry, monkeypatch, tmp_path):
    monkeypatch.setattr(Facts, "engine", lambda _: INSECURE)
    monkeypatch.setattr(Facts, "addresses", lambda _: ("127.0.0.1",))

    def run(check, write=True, write_up_to=0, **sections):
        plain = {
            "registry": {"hostname": "localhost", "port": registry.server_port},
            "tls": {"mode": "plain", "allowPlain": True},
            **OPEN,
        }
        env = {"DOCKER_CONFIG": str(tmp_path)}
        return look(check, write=write, write_up_to=write_up_to, env=env, sections={**plain, **sections})

    return run


def test_an_image_is_pushed_pulled_and_deleted(write, registry):
    found = write(image_moves)

    assert found.what == f"an image was pushed, pulled and deleted at localhost:{registry.server_port}"
    assert [path for path in registry.kept if "sha256:" in path] == []
    assert {path.partition("/v2/doctor/probe/")[0] for _, path, _ in registry.asked} == {""}


def test_nothing_is_pushed_unless_it_is_asked_for(write, registry):
    assert write(image_moves, write=False).what == "only with --write"
    assert registry.asked == []


def test_a_registry_that_is_read_only_is_to_be_thawed(write, registry):
    registry.refuse["POST"] = 405

    found = write(image_moves)

    assert (found.state, found.fix) == ("failure", "python -m ops thaw --yes --stack dev")


def test_a_registry_that_the_stack_itself_makes_read_only_is_not_to_be_thawed(write, registry):
    registry.refuse["POST"] = 405
    config = {"storage": {"maintenance": {"readonly": {"enabled": True}}}}

    found = write(
        image_moves, registry={"hostname": "localhost", "port": registry.server_port, "config": config}
    )

    assert found.fix.splitlines() == [
        "pulumi config rm --path docker-registry:registry.config.storage.maintenance.readonly --stack dev",
        "pulumi up --stack dev",
    ]


def test_layers_grow_to_the_size_that_is_asked_for_and_are_deleted_too(write, registry):
    found = write(image_moves, write_up_to=12 * MIB)

    assert found.what.endswith(f"at localhost:{registry.server_port}, with layers of up to 12 MiB")
    assert [path for path in registry.kept if "sha256:" in path] == []
    deleted = [path for command, path, _ in registry.asked if command == "DELETE"]
    assert len(deleted) == 3 + 3  # 1, 10 and 12 MiB


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        (
            "cloudflare",
            "let localhost resolve to Traefik's own address in your network: Cloudflare takes 100 MB",
        ),
        ("nginx/1.27.0", "client_max_body_size 0;   # in nginx's configuration, then: nginx -s reload"),
        ("", "what is before localhost:PORT, as a proxy or a tunnel, has a limit"),
    ],
)
def test_a_limit_on_the_way_is_named_with_the_size_and_where_it_is(write, registry, name, fix):
    registry.limit, registry.name = MIB, name

    found = write(image_moves, write_up_to=100 * MIB)

    assert found.what == f"localhost:{registry.server_port}: push of a layer of 10 MiB: 413"
    assert found.fix == fix.replace("PORT", str(registry.server_port))
    assert [path for path in registry.kept if "sha256:" in path] == []
    deleted = [path for command, path, _ in registry.asked if command == "DELETE"]
    assert [path for path in deleted if path.endswith("/uploads/id")]  # what was begun is given up
    assert write(image_moves).state == "ok"


def test_a_push_that_fails_names_the_answer_and_the_log(write, registry):
    registry.refuse["PUT"] = 500

    found = write(image_moves)

    assert "push: 500" in found.what
    assert found.fix.startswith("nomad alloc logs -stderr")


def test_what_comes_back_changed_is_a_failure(write, registry):
    registry.spoil = b"x"

    assert "what was pulled is not what was pushed" in write(image_moves).what


def test_an_image_that_cannot_be_deleted_is_a_warning(write, registry):
    registry.refuse["DELETE"] = 405

    found = write(image_moves)

    assert found.state == "warning"
    assert "storage.delete.enabled" in found.fix


def test_no_part_of_the_image_is_one_that_another_image_may_have(write, registry):
    for _ in range(2):
        write(image_moves)

    deleted = [path for command, path, _ in registry.asked if command == "DELETE"]
    assert len(set(deleted)) == len(deleted) == 2 * 3


def test_an_image_that_comes_back_changed_or_only_in_part_is_deleted_too(write, registry):
    registry.spoil = b"x"
    assert write(image_moves).state == "failure"
    registry.refuse["GET"] = 500
    assert write(image_moves).state == "failure"

    assert [path for path in registry.kept if "sha256:" in path] == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_log_in_that_may_not_delete_is_named_as_the_reason(write, registry, tmp_path, status):
    registry.refuse["DELETE"] = status
    log_in(registry, tmp_path, {"name": "ci/app", "actions": ["pull", "push"]})
    grants = {
        "ci": {"repositories": {"ci/app": ["pull", "push"]}},
        "cleaner": {"repositories": {"ci/app": ["pull", "push", "delete"]}},
    }

    found = write(image_moves, auth={"mode": "vault", "grants": grants})

    assert f"cannot be deleted ({status}, the log-in may not)" in found.what
    assert found.fix == "python -m ops login cleaner --stack dev   # a grant with push and delete"
    assert write(image_moves).fix.startswith("docker login localhost:")


def test_a_location_that_leads_elsewhere_is_a_failure_and_nothing_is_sent_there(write, registry):
    registry.location = "http://registry.internal:5000"

    found = write(location_right)

    assert found.state == "failure"
    assert "it sends clients to http://registry.internal:5000" in found.what
    assert "registry.config.http.relativeurls true" in found.fix
    assert write(image_moves).state == "ok"


def test_a_location_without_an_address_or_with_the_clients_is_ok(write, registry):
    assert write(location_right).state == "ok"
    registry.location = f"http://localhost:{registry.server_port}"
    assert write(location_right).state == "ok"


@pytest.mark.parametrize(
    ("http", "state"),
    [
        ({}, "ok"),
        ({"relativeurls": False}, "not looked at"),
        ({"relativeurls": False, "host": "https://registry.homelab.local"}, "ok"),
        ({"relativeurls": False, "host": "http://registry.homelab.local:5000"}, "warning"),
    ],
)
def test_without_a_push_the_settings_tell_where_locations_lead(look, http, state):
    assert look(location_right, sections={"registry": {"config": {"http": http}}}).state == state


def test_a_host_that_would_win_over_relative_urls_is_taken_away_with_it(look):
    http = {"relativeurls": False, "host": "http://registry.homelab.local:5000"}

    found = look(location_right, sections={"registry": {"config": {"http": http}}})

    assert [line.split()[2] for line in found.fix.splitlines()[:2]] == ["rm", "set"]
    assert found.fix.startswith(
        "pulumi config rm --path docker-registry:registry.config.http.host --stack dev"
    )


def log_in(registry, folder, *access):
    """Let docker have a token that opens this."""
    claims = base64.urlsafe_b64encode(json.dumps({"access": access}).encode()).decode().rstrip("=")
    token = f"e30.{claims}.x"
    entry = {f"localhost:{registry.server_port}": {"registrytoken": token}}
    (folder / "config.json").write_text(json.dumps({"auths": entry}))
    return token


def test_a_token_pushes_to_a_repository_that_it_opens_for_deletes_if_there_is_one(write, registry, tmp_path):
    grants = {"mode": "vault", "grants": {"ci": {"repositories": {"ci/app": ["pull", "push"]}}}}
    access = [
        {"name": "base/os", "actions": ["pull"]},
        {"name": "ci/app", "actions": ["pull", "push"]},
        {"name": "ci/tmp", "actions": ["pull", "push", "delete"]},
    ]

    for repository, opened in (("ci/app", access[:2]), ("ci/tmp", access)):
        token = log_in(registry, tmp_path, *opened)
        write(image_moves, auth=grants)
        assert ("POST", f"/v2/{repository}/blobs/uploads/", f"Bearer {token}") in registry.asked

import json

import pytest

from checks.errors import CheckError
from checks.upgrade import check_upgrade

GIB = 1024**3
SUMMARY = {"repositories": 2, "manifests": 5, "free": 50 * GIB, "total": 100 * GIB}
DIGEST = f"sha256:{'a' * 64}"
OLD = {"kind": "schema 1", "repository": "old/app", "digest": DIGEST, "tags": ["7", "latest"]}
EMPTY = {"kind": "empty", "path": "docker/registry/v2/blobs/sha256/aa/aa/data"}
NO_LAYERS = {"kind": "no layers", "repository": "ci/app"}
UNREADABLE = {"kind": "unreadable", "repository": "ci/app", "digest": DIGEST, "tags": []}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
FORBIDDEN = {"status": 403, "body": "Permission denied"}


class Nomad:
    """Runs the job that is submitted, which finds what it is given."""

    def __init__(self, servers):
        self.servers, self.submitted, self.gone = servers, [], []
        self.found, self.summary, self.state, self.log = [], SUMMARY, "complete", None
        self.may_read_logs = True

    def server(self, settings):
        lines = [*self.found, {"summary": self.summary}]
        log = "".join(f"{json.dumps(line)}\n" for line in lines) if self.log is None else self.log
        state = {"Failed": self.state != "complete", "Events": []}
        allocation = {"ID": "a1", "ClientStatus": self.state, "TaskStates": {"upgrade-check": state}}

        def ok(body):
            return {"status": 200, "body": body}

        def submit(request):
            job = json.loads(request.content)["Job"]
            self.submitted.append(job)
            answers[f"/v1/job/{job['ID']}/allocations"] = ok([allocation])
            answers[f"/v1/job/{job['ID']}"] = purge
            return ok({"EvalID": "e1"})

        def purge(request):
            assert request.method == "DELETE"
            self.gone.append((request.url.path.rpartition("/")[2], request.url.params["purge"]))
            return ok({})

        answers = {
            "/v1/jobs": submit,
            "/v1/allocation/a1": ok(allocation),
            "/v1/client/fs/logs/a1?type=stdout": ok(log) if self.may_read_logs else FORBIDDEN,
            "/v1/client/fs/logs/a1?type=stderr": ok("cannot read the store: no such file\n"),
        }
        return self.servers(settings, answers).nomad


@pytest.fixture
def nomad(servers):
    return Nomad(servers)


@pytest.fixture
def check(nomad, ready):
    """Check a stack of these sections for an image."""

    def run(image="registry:3", **sections):
        sections = {"registry": {"image": "registry:2"}, **sections}
        settings = ready(sections=sections)
        config = {
            "nomad:address": "http://127.0.0.1:4646",
            "consul:address": "127.0.0.1:8500",
            "vault:address": "http://127.0.0.1:8200",
            **{f"docker-registry:{key}": json.dumps(value) for key, value in sections.items()},
        }
        return check_upgrade(nomad.server(settings), settings, config, {}, image)

    return run


def blocking(found):
    return [finding.what for finding in found.findings if finding.blocks]


def to_know(found):
    return [finding.what for finding in found.findings if not finding.blocks]


def test_a_clean_store_and_plain_settings_are_ready_for_3_x(check):
    found = check()

    assert found.ready and found.findings == ()
    assert found.store == SUMMARY
    assert (found.version_now, found.version) == ("2", "3")


def test_a_key_that_3_x_would_ignore_is_named_with_what_to_use(check):
    config = {"redis": {"addr": "redis:6379"}, "storage": {"cache": {"blobdescriptor": "redis"}}}
    found = check(registry={"image": "registry:2", "config": config})

    assert not found.ready
    assert any(
        what.startswith("docker-registry:registry.config.redis.addr: ") and "use addrs" in what
        for what in blocking(found)
    )


def test_settings_that_2_x_cannot_do_are_named(check):
    grants = {"ci-app": {"repositories": {"ci/app": ["pull"]}}}
    found = check(
        "registry:2",
        registry={"image": "registry:3", "config": {"http": {"h2c": {"enabled": True}}}},
        auth={"mode": "vault", "grants": grants},
        maintenance={"garbageCollection": {"deleteUntagged": True}},
    )

    keys = {what.partition(": ")[0] for what in blocking(found)}
    assert keys == {
        "docker-registry:auth.mode",
        "docker-registry:maintenance.garbageCollection.deleteUntagged",
        "docker-registry:registry.config.http.h2c",
    }


def test_a_version_that_is_set_and_is_another_one_is_named(check):
    found = check(registry={"image": "nas:5001/registry:latest", "version": 2})

    assert blocking(found) == ["docker-registry:registry.version: is 2, and registry:3 is 3.x: remove it"]


def test_an_image_whose_tag_does_not_tell_has_the_version_that_is_set(check):
    assert check("mine:latest", registry={"image": "registry:2", "version": 2}).version == "2"

    with pytest.raises(CheckError, match="mine:latest does not tell the registry's major version"):
        check("mine:latest")


def test_an_image_of_schema_1_stands_in_the_way_of_3_x_only(check, nomad):
    nomad.found = [OLD]

    assert blocking(check()) == [
        f"old/app:7, old/app:latest ({DIGEST}) is of schema 1: 3.x cannot serve it, and garbage collection "
        "stops at it"
    ]
    assert check("registry:2.8").ready


def test_what_a_crash_left_is_named_and_stands_in_the_way_of_both(check, nomad):
    nomad.found = [EMPTY, UNREADABLE]

    for image in ("registry:2", "registry:3"):
        assert blocking(check(image)) == [
            f"{EMPTY['path']} is empty, as a crash leaves it: its image cannot be pulled",
            f"ci/app ({DIGEST}) is no manifest: garbage collection stops at it",
        ]


def test_a_repository_without_layers_stands_in_the_way_of_2_x_only_and_a_collection_mends_it(check, nomad):
    nomad.found = [NO_LAYERS]

    assert "2.x does not list it; `python -m ops gc` makes it" in blocking(check("registry:2"))[0]
    found = check()
    assert blocking(found) == []
    assert "`python -m ops gc` makes it" in to_know(found)[0]


@pytest.mark.parametrize(
    ("free", "total"), [(9 * GIB, 100 * GIB), (GIB // 2, 2 * GIB), (0, 0)], ids=["9 %", "0.5 GiB", "none"]
)
def test_little_room_is_to_know_and_stands_in_no_way(check, nomad, free, total):
    nomad.summary = {**SUMMARY, "free": free, "total": total}
    found = check()

    assert found.ready
    assert "pushes may fail soon" in to_know(found)[0]


@pytest.mark.parametrize(("image", "warned"), [("registry:3.0.0", True), ("registry:3.1", False)])
def test_a_version_that_a_crash_can_damage_is_to_know(check, image, warned):
    assert any("before 3.1 can leave empty files" in what for what in to_know(check(image))) is warned


def test_names_of_keys_that_differ_between_the_versions_are_to_know(check):
    external = {
        "realm": "https://tokens.example/auth",
        "service": "registry",
        "issuer": "tokens",
        "rootCertBundle": CERTIFICATE,
    }
    auth = {"mode": "external", "external": external}

    assert any("auth.external" in what and "x5c" in what for what in to_know(check(auth=auth)))
    assert not any("x5c" in what for what in to_know(check("registry:2.8", auth=auth)))


def test_images_in_a_bucket_are_not_read(check, nomad):
    storage = {"driver": "s3", "s3": {"region": "any", "bucket": "images"}}
    found = check(registry={"image": "registry:2"}, storage=storage)

    assert found.ready and found.store is None
    assert nomad.submitted == []


def test_the_job_goes_again_also_when_it_failed(check, nomad):
    check()
    nomad.state = "failed"
    with pytest.raises(CheckError, match="cannot read the store: no such file"):
        check()

    names = [job["ID"] for job in nomad.submitted]
    assert len(set(names)) == 2
    assert nomad.gone == [(name, "true") for name in names]


def test_a_log_that_ends_too_early_is_no_clean_store(check, nomad):
    for log in ("", f"{json.dumps(OLD)}\n", '{"summary": {"repo'):
        nomad.log = log
        with pytest.raises(CheckError, match="ends too early: run this again"):
            check()


def test_a_token_that_may_not_read_logs_is_told_the_right_that_it_lacks(check, nomad):
    nomad.may_read_logs = False

    with pytest.raises(CheckError, match='needs `read-logs` in namespace "default"'):
        check()
    assert len(nomad.gone) == 1

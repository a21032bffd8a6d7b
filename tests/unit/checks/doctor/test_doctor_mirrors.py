import json

import pytest

from checks.doctor.mirrors import caches_within_size, mirrors_serve, upstreams_answer

MIB = 2**20
HUB = {"name": "hub", "upstream": "http://127.0.0.1:1", "port": 5010}
QUAY = {"name": "quay", "upstream": "http://127.0.0.1:2", "port": 5011}
EVICT = "docker-registry-mirrors-evict"
STATUS = "nomad job status -address=http://127.0.0.1:4646 -namespace=default docker-registry-mirrors"


def ok(body):
    return {"status": 200, "body": body}


@pytest.fixture
def served(web_server):
    """Consul's answer for a mirror that gives a code to everything; None: that is not there."""

    def make(name, code=200, state="passing"):
        instances = []
        if code:
            service = {"Address": "127.0.0.1", "Port": web_server(body="", code=code).port}
            instances = [{"Service": service, "Checks": [{"Status": state}]}]
        return {f"/v1/health/service/registry-mirror-{name}": ok(instances)}

    return make


def test_mirrors_that_answer_are_ok(look, served):
    found = look(mirrors_serve, {**served("hub"), **served("quay")}, sections={"mirrors": [HUB, QUAY]})

    assert (found.state, found.what) == ("ok", "hub, quay: each answers")


@pytest.mark.parametrize(
    ("code", "state", "what"),
    [
        (None, "", "quay: service registry-mirror-quay is not in Consul"),
        (503, "critical", "answers 503"),
        (200, "critical", "quay: service registry-mirror-quay is critical"),
    ],
)
def test_a_mirror_that_does_not_serve_is_named_and_the_others_are_not(look, served, code, state, what):
    job = {"ID": "docker-registry-mirrors", "Namespace": "default", "Type": "service", "Stop": False}
    job |= {"Status": "running", "Periodic": None, "ParameterizedJob": None}
    path = "/v1/job/docker-registry-mirrors"
    runs = {path: ok(job), f"{path}/deployment": ok("null")}

    found = look(
        mirrors_serve,
        {**served("hub"), **served("quay", code, state), **runs},
        sections={"mirrors": [HUB, QUAY]},
    )

    assert (found.state, found.fix) == ("failure", STATUS)
    assert what in found.what and "hub" not in found.what


def test_mirrors_whose_job_is_gone_are_made_by_up(look, served):
    found = look(mirrors_serve, served("hub", None), sections={"mirrors": [HUB]})

    assert (found.state, found.fix) == ("failure", "pulumi up --stack dev")


def test_an_upstream_that_is_away_is_a_warning_since_what_is_cached_is_served(look, web_server):
    well = {**QUAY, "upstream": web_server(body="").address}

    found = look(upstreams_answer, sections={"mirrors": [HUB, well]})

    assert found.state == "warning"
    assert found.what.startswith("hub: http://127.0.0.1:1 does not answer from here")
    assert found.fix == "curl -sS http://127.0.0.1:1/v2/   # on the mirrors' machine"
    assert look(upstreams_answer, sections={"mirrors": [well]}).state == "ok"


def test_a_password_that_the_upstream_refuses_is_a_failure_and_not_shown(look, web_server):
    upstream = web_server(body="", code=401, headers={"WWW-Authenticate": "Basic realm=r"}).address
    private = {**QUAY, "upstream": upstream, "username": "me", "password": "hunter2"}

    found = look(upstreams_answer, sections={"mirrors": [HUB, private]})

    assert found.state == "failure"
    assert "docker-registry:mirrors[1]: " in found.what and "hunter2" not in found.what
    assert found.fix.splitlines() == [
        "pulumi config set --secret --path 'docker-registry:mirrors[1].password' --stack dev",
        "pulumi up --stack dev",
    ]


def measured(*told, lines=None):
    """Nomad's answers for a run that told this, after an older one."""
    runs = [{"ID": f"{EVICT}/periodic-{number}", "SubmitTime": number} for number in (1, 2)]
    text = "".join(f"{json.dumps(each)}\n" for each in told) if lines is None else lines
    return {
        "/v1/jobs": ok(runs),
        f"/v1/job/{EVICT}/periodic-2/allocations": ok([{"ID": "a2"}]),
        "/v1/client/fs/logs/a2?type=stdout": ok(text),
    }


LIMITED = {"mirrors": [{**HUB, "maxSize": "2MiB"}, QUAY]}
FORCE = f"nomad job periodic force -address=http://127.0.0.1:4646 -namespace=default {EVICT}"


@pytest.mark.parametrize(
    "told",
    [
        {"mirror": "hub", "limit": 2 * MIB, "bytes": MIB},
        {"mirror": "hub", "limit": 2 * MIB, "bytes": 3 * MIB, "evicted": {"bytes": MIB}},
    ],
    ids=["small enough", "made smaller"],
)
def test_a_cache_within_its_size_is_told_with_both(look, told):
    found = look(caches_within_size, measured(told), sections=LIMITED)

    assert (found.state, found.what) == ("ok", "hub has 1.0 MiB of 2.0 MiB")


def test_a_cache_that_could_not_be_made_smaller_is_a_warning_with_the_reason(look):
    told = {"mirror": "hub", "limit": 2 * MIB, "bytes": 3 * MIB, "problem": "left as it is: away"}

    found = look(caches_within_size, measured(told), sections=LIMITED)

    assert (found.state, found.what, found.fix) == ("warning", "hub: left as it is: away", FORCE)


def test_a_mirror_that_the_last_run_does_not_know_is_a_warning(look):
    told = {"mirror": "former", "limit": MIB, "bytes": 0}

    found = look(caches_within_size, measured(told), sections=LIMITED)

    assert (found.state, found.fix) == ("warning", FORCE)
    assert "did not measure hub" in found.what


def test_without_a_run_whose_log_can_be_read_sizes_are_unknown(look):
    none = {"/v1/jobs": ok([])}
    for answers in (none, measured(lines="")):
        assert look(caches_within_size, answers, sections=LIMITED).state == "not looked at"


def test_a_stack_without_mirrors_has_none_to_ask(look):
    for check in (mirrors_serve, upstreams_answer, caches_within_size):
        assert look(check).state == "not looked at"
    assert look(caches_within_size, sections={"mirrors": [HUB]}).state == "not looked at"

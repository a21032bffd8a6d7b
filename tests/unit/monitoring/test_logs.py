"""The log pipelines and the dashboard's log queries, on real lines of the registry.

In lines/ is what registries wrote that have a stack's default settings and a user demo. 127.0.0.1 pushed
ci/app:1, pulled it twice, looked for ci/app:2 and for what it was to push, and had wrong passwords of demo
and of nobody, twice each. The last two lines are of registries that did not start. With tokens: a request
without, and two with a wrong one, through a proxy.
"""

import json
import re
from pathlib import Path

import loki
import pytest
from documents import block

from monitoring.files import DASHBOARD, RULES, monitoring_files

FOLDER = Path(__file__).parent / "lines"
VERSIONS = ("2.8.2", "3.1.2")
ACCESS_LOG = re.compile(r'127\.0\.0\.1 - - \[.*\] "(GET|HEAD|PUT) ')


@pytest.fixture
def made(read_settings):
    return monitoring_files(read_settings(monitoring={}))


@pytest.fixture
def pipeline(made):
    return loki.promtail(made["promtail.yml"])


@pytest.fixture
def queries(made):
    """The dashboard's log queries, by their panels' titles."""
    return {
        panel["title"]: target["expr"].replace("$job", "docker-registry")
        for panel in json.loads(made[DASHBOARD])["panels"]
        if panel["type"] != "row" and panel["datasource"]["type"] == "loki"
        for target in panel["targets"]
    }


def written(version):
    return (FOLDER / f"registry-{version}.log").read_text().splitlines()


@pytest.fixture
def show(pipeline, queries):
    """What a panel shows of the lines of a version."""

    def ask(title, version, job="docker-registry", task="registry"):
        return loki.run(queries[title], pipeline.collect(job, task, written(version)))

    return ask


def test_promtail_and_alloy_do_the_same(made, pipeline):
    assert loki.alloy(made["config.alloy"]) == pipeline


@pytest.mark.parametrize("version", VERSIONS)
def test_every_line_but_those_of_the_access_log_is_collected_with_its_level_and_time(pipeline, version):
    lines = written(version)
    collected = pipeline.collect("docker-registry", "registry", lines)

    access_log = [line for line in lines if ACCESS_LOG.match(line)]
    assert len(access_log) == 20
    assert [line.text for line in collected] == [line for line in lines if line not in access_log]
    *logged, panicked, refused = collected
    stream = {"job": "docker-registry", "task": "registry"}
    for line in logged:
        said = json.loads(line.text)
        assert (line.labels, line.time) == ({**stream, "level": said["level"]}, said["time"])
    assert panicked.text.startswith("panic: ") and refused.text.startswith("configuration error: ")
    assert panicked.labels == refused.labels == stream


def test_runs_of_a_maintenance_job_are_one_stream_and_other_jobs_are_left_out(pipeline):
    [line] = pipeline.collect("docker-registry-gc/periodic-1774000000", "collect", ["127.0.0.1 - - [x]"])

    assert line.labels == {"job": "docker-registry-gc", "task": "collect"}
    assert pipeline.collect("another", "registry", ["{}"]) == []


@pytest.mark.parametrize(("version", "levels"), [("2.8.2", (22, 8, 6)), ("3.1.2", (24, 8, 2))])
def test_lines_are_counted_by_their_level(show, version, levels):
    assert show("Lines by level", version) == dict(zip(("info", "warning", "error"), levels, strict=True))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pull_is_counted_for_its_repository_and_not_what_is_only_looked_for(show, version):
    assert show("Pulls by repository", version) == {"ci/app": 2}


@pytest.mark.parametrize("version", [*VERSIONS, "3.1.2-tokens"])
def test_who_is_denied_is_counted_by_address_without_the_port_and_not_before_it_logs_in(show, version):
    denied = {"2001:db8::7": 2} if version.endswith("tokens") else {"127.0.0.1": 4}

    assert show("Denied by address", version) == denied


def test_a_user_with_a_wrong_password_is_named_and_by_2x_also_one_who_does_not_exist(show):
    assert show("Denied logins by user", "2.8.2") == {"demo": 2, "nobody": 2}
    assert show("Denied logins by user", "3.1.2") == {"demo": 2}


def test_neither_panel_nor_alert_says_that_every_user_is_named(made):
    assert "nobody" not in "".join(written("3.1.2"))
    [denied] = re.findall(r"alert: RegistryDeniedLogins\n.*?\n\n", made[RULES], re.DOTALL)
    assert "the user if there is one of that name" in " ".join(denied.split())
    [panel] = [each for each in json.loads(made[DASHBOARD])["panels"] if "by user" in each["title"]]
    assert "3.x does not log the names of users that do not exist" in panel["description"]


@pytest.mark.parametrize("version", VERSIONS)
def test_warnings_and_errors_have_why_it_did_not_start_and_nothing_usual(show, version):
    *logged, panicked, refused = (line.text for line in show("Warnings and errors", version))

    assert [panicked, refused] == written(version)[-2:]
    denied = {"2.8.2": 8, "3.1.2": 4}  # 2.x has two lines for each
    assert len(logged) == denied[version]
    assert all("authentication failure" in line for line in logged)


def test_maintenance_shows_the_runs_of_jobs_and_not_what_mirrors_are_asked(show):
    assert show("Maintenance", "3.1.2", job="docker-registry-gc/periodic-1", task="collect")
    assert show("Maintenance", "3.1.2", job="docker-registry-mirrors") == []
    assert show("Maintenance", "3.1.2") == []


def test_every_log_query_is_read_whole_and_selects_by_labels_that_the_pipelines_set(queries, pipeline):
    assert len(queries) == 6
    labels = {"job", "task", "level"}
    set_by_pipeline = {
        label
        for line in pipeline.collect("docker-registry", "registry", written("3.1.2"))
        for label in line.labels
    }
    assert set_by_pipeline == labels

    for expr in queries.values():
        loki.run(expr, [])
        [selector] = re.findall(r"\{[^}]*\}", expr)
        assert set(re.findall(r"(\w+)\s*(?:=|!)", re.sub(r'"[^"]*"', "", selector))) <= labels
        assert set(re.findall(r"\$\w+", expr)) <= {"$__interval"}


@pytest.mark.parametrize(
    "wrong",
    [
        'sum by (level) (count_over_time({job="x"} [$__interval])',
        '{job="x"',
        '{job="x} | json',
        '{job="x"} | json | level',
        '{job="x"} | nonsense',
        '{job="x"} | regexp "no name"',
        '{job="x"} |= unquoted',
    ],
)
def test_a_query_that_is_not_well_formed_is_found(wrong):
    with pytest.raises(AssertionError):
        loki.run(wrong, [])


def test_the_documented_query_finds_a_users_requests(pipeline):
    query = block("docs/monitoring.md", '{job="docker-registry"} | json | auth_user_name="alice"').text

    lines = pipeline.collect("docker-registry", "registry", written("3.1.2"))
    found = loki.run(query.replace("alice", "demo"), lines)

    assert found and all('"auth.user.name":"demo"' in line.text for line in found)

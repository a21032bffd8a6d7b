import json
import re
from pathlib import Path

import pytest
import yaml

from jobs.tasks.exporter import HELPS
from monitoring.files import DASHBOARD, RULES, SCRAPE, monitoring_files

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "monitoring.md"


@pytest.fixture
def files(read_settings):
    def make(section=None, **sections):
        return monitoring_files(read_settings(monitoring=section or {}, **sections))

    return make


def scrapes(made):
    return {each["job_name"]: each for each in yaml.safe_load(made[SCRAPE])["scrape_configs"]}


def found(scrape):
    (discovery,) = scrape["consul_sd_configs"]
    return discovery


def test_the_registry_and_its_exporter_are_found_in_consul(files):
    made = scrapes(files())

    assert made.keys() == {"docker-registry", "docker-registry-exporter", "docker-registry-mirrors"}
    assert found(made["docker-registry"]) == {
        "server": "127.0.0.1:8500",
        "scheme": "http",
        "services": ["registry-metrics"],
    }
    assert found(made["docker-registry-exporter"])["services"] == ["registry-exporter"]
    assert found(made["docker-registry-mirrors"])["services"] == ["registry-mirrors-metrics"]


def test_a_mirror_is_named_by_its_tag(files):
    for rule in scrapes(files())["docker-registry-mirrors"]["relabel_configs"]:
        assert re.fullmatch(rule["regex"], ",traefik.enable=false,mirror=docker-hub,")[1] == "docker-hub"


def test_without_an_exporter_there_is_none_to_scrape(read_settings):
    made = scrapes(monitoring_files(read_settings()))

    assert made.keys() == {"docker-registry", "docker-registry-mirrors"}


def test_a_token_for_consul_is_a_file_of_prometheus_and_never_in_ours(files):
    servers = {
        "nomad:address": "http://127.0.0.1:4646",
        "consul:address": "https://consul.lan:8501",
        "consul:caFile": "/etc/consul/ca.pem",
        "consul:token": "hunter2hunter2",
        "vault:address": "http://127.0.0.1:8200",
        "vault:token": "hunter2hunter2",
    }
    made = files({"consulTokenFile": "/etc/prometheus/consul-token"}, servers=servers)

    assert found(scrapes(made)["docker-registry"]) == {
        "server": "consul.lan:8501",
        "scheme": "https",
        "services": ["registry-metrics"],
        "authorization": {"credentials_file": "/etc/prometheus/consul-token"},
        "tls_config": {"ca_file": "/etc/consul/ca.pem"},
    }
    assert not [name for name, text in made.items() if "hunter2" in text]


def test_another_stack_has_its_own_job_in_every_file(files):
    made = files(registry={"name": "staging"})

    assert [name for name, text in made.items() if "docker-registry-exporter" in text] == []
    assert all("staging" in text for text in made.values())
    assert not [name for name, text in made.items() if "@{" in text]


def test_each_mirror_of_the_stack_is_missed_when_it_is_gone(files):
    mirror = {"name": "hub", "upstream": "https://registry-1.docker.io", "port": 5010}
    absent = 'absent(up{job="docker-registry-mirrors", mirror="hub"})'

    assert absent in files(mirrors=[mirror])[RULES]
    assert "mirror=" not in files()[RULES]


def test_the_rules_say_what_is_wrong_and_what_to_do(files):
    (group,) = yaml.safe_load(files()[RULES])["groups"]

    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        (
            "Alerts",
            lambda made: [rule["alert"] for rule in yaml.safe_load(made[RULES])["groups"][0]["rules"]],
        ),
        ("The exporter's metrics", lambda _: list(HELPS)),
    ],
)
def test_the_documentation_names_every_alert_and_every_metric(files, heading, names):
    section = DOCUMENTATION.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)", section, re.MULTILINE)

    assert sorted(told) == sorted(names(files()))


def panels(made):
    return [each for each in json.loads(made[DASHBOARD])["panels"] if each["type"] != "row"]


def test_no_panel_covers_another(files):
    cells = [
        (x, y)
        for place in (each["gridPos"] for each in json.loads(files()[DASHBOARD])["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_panels_take_their_sources_and_the_registry_from_the_dashboards_variables(files):
    made = files()
    variables = {each["name"] for each in json.loads(made[DASHBOARD])["templating"]["list"]}

    assert variables == {"datasource", "loki", "job"}
    for panel in panels(made):
        assert panel["datasource"]["uid"] in ("${datasource}", "${loki}")
        assert all("$job" in target["expr"] for target in panel["targets"])

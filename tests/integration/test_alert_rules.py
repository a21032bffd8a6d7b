"""Each alert by Prometheus's own test of rules: it alone fires in its case, and none in the healthy one."""

import json
import subprocess

import pytest
import yaml

from config.settings import Settings
from devcluster import prometheus
from monitoring.files import filled

JOB = "docker-registry"
MINUTES, LONG = 90, {"RegistryReadOnly": 400}  # until the alert has to fire
MIRRORS = [{"name": "hub", "upstream": "https://registry-1.docker.io", "port": 5010}]
SERVERS = {f"{name}:address": "http://127.0.0.1:1" for name in ("nomad", "consul", "vault")}
OF_REGISTRY, OF_EXPORTER = f'job="{JOB}"', f'job="{JOB}-exporter"'
OF_MIRRORS = f'job="{JOB}-mirrors", mirror="hub"'
REQUESTS = f'registry_http_requests_total{{{OF_REGISTRY}, code="%s"}}'
BUCKET = f'registry_http_request_duration_seconds_bucket{{{OF_REGISTRY}, handler="manifest", le="%s"}}'
DUE = f'docker_registry_due_timestamp_seconds{{{OF_EXPORTER}, kind="gc"}}'
FAILED = f'docker_registry_last_run_failed{{{OF_EXPORTER}, kind="gc"}}'
CAN_ASK = f'docker_registry_exporter_can_ask{{{OF_EXPORTER}, part="registry"}}'
EXPIRY = f'docker_registry_certificate_expiry_timestamp_seconds{{{OF_EXPORTER}, address="nas:443"}}'
START = f'docker_registry_certificate_start_timestamp_seconds{{{OF_EXPORTER}, address="nas:443"}}'
FREE = f'docker_registry_volume_free_bytes{{{OF_EXPORTER}, volume="registry_data"}}'
DAY = 86_400

# A series' value now, and what it gains each minute.
HEALTHY = {
    f"up{{{OF_REGISTRY}}}": (1, 0),
    f"up{{{OF_EXPORTER}}}": (1, 0),
    f"up{{{OF_MIRRORS}}}": (1, 0),
    f"docker_registry_up{{{OF_EXPORTER}}}": (1, 0),
    f"docker_registry_read_only{{{OF_EXPORTER}}}": (0, 0),
    CAN_ASK: (1, 0),
    REQUESTS % 200: (0, 60),
    REQUESTS % 401: (0, 10),
    **{BUCKET % le: (0, 60) for le in (0.1, 1, 5, "+Inf")},
    f"process_start_time_seconds{{{OF_REGISTRY}}}": (1000, 0),
    FAILED: (0, 0),
    DUE: (DAY, 0),
    START: (0, 0),
    EXPIRY: (30 * DAY, 0),
    FREE: (500, 0),
    f'docker_registry_volume_size_bytes{{{OF_EXPORTER}, volume="registry_data"}}': (1000, 0),
}
GONE = None
CASES = [
    ("RegistryDown", {f"up{{{OF_REGISTRY}}}": (0, 0)}),
    ("RegistryDown", {f"up{{{OF_REGISTRY}}}": GONE}),
    ("RegistryNotServing", {f"docker_registry_up{{{OF_EXPORTER}}}": (0, 0)}),
    ("RegistryExporterDown", {f"up{{{OF_EXPORTER}}}": (0, 0)}),
    ("RegistryExporterDown", {f"up{{{OF_EXPORTER}}}": GONE}),
    ("RegistryExporterCannotAsk", {CAN_ASK: (0, 0)}),
    ("RegistryMirrorDown", {f"up{{{OF_MIRRORS}}}": (0, 0)}),
    ("RegistryMirrorDown", {f"up{{{OF_MIRRORS}}}": GONE}),
    ("RegistryErrors", {REQUESTS % 500: (0, 10)}),
    ("RegistrySlow", {BUCKET % 1: (0, 50), BUCKET % 0.1: (0, 50)}),
    ("RegistryDeniedLogins", {REQUESTS % 401: (0, 1200)}),
    ("RegistryRestarts", {f"process_start_time_seconds{{{OF_REGISTRY}}}": (1000, 60)}),
    ("RegistryReadOnly", {f"docker_registry_read_only{{{OF_EXPORTER}}}": (1, 0)}),
    ("RegistryMaintenanceFailed", {FAILED: (1, 0)}),
    ("RegistryMaintenanceOverdue", {DUE: (1000, 0)}),
    ("RegistryCertificateEnds", {START: (-30 * DAY, 0), EXPIRY: (DAY, 0)}),
    ("RegistryRoom", {FREE: (50, 0)}),
    ("RegistryRoomEnds", {FREE: (290, -0.15)}),
]


def rules(mirrors):
    """The rules of a stack with these mirrors."""
    config = {"docker-registry:mirrors": json.dumps(mirrors), **SERVERS}
    return filled("rules.yml", Settings.read("dev", config, {}))


@pytest.fixture
def promtool(tmp_path):
    (tmp_path / "rules.yml").write_text(rules(MIRRORS))

    def run(*arguments):
        command = [prometheus.folder() / "promtool", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.folder = tmp_path
    return run


def fires(promtool, cases):
    """Check for each case that just its alerts fire in the end."""
    tests = [
        {
            "name": f"{', '.join(alerts) or 'healthy'} {number}",
            "interval": "1m",
            "input_series": [
                {"series": name, "values": f"{value[0]}{value[1]:+}x{minutes}"}
                for name, value in series.items()
                if value is not GONE
            ],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": f"{minutes}m",
                    "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts],
                }
            ],
        }
        for number, (alerts, series) in enumerate(cases)
        for minutes in [max(LONG.get(alert, MINUTES) for alert in alerts or [""])]
    ]
    content = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (promtool.folder / "tests.yml").write_text(yaml.safe_dump(content))
    promtool("test", "rules", "tests.yml")


def test_no_alert_fires_while_all_is_well(promtool):
    fires(promtool, [([], HEALTHY)])


def test_each_alert_fires_in_its_case_and_no_other_does(promtool):
    fires(promtool, [([alert], HEALTHY | changed) for alert, changed in CASES])


def test_a_stack_without_mirrors_is_well(promtool):
    (promtool.folder / "rules.yml").write_text(rules([]))
    fires(promtool, [([], HEALTHY | {f"up{{{OF_MIRRORS}}}": GONE})])


def test_there_is_a_case_for_every_alert(promtool):
    (group,) = yaml.safe_load((promtool.folder / "rules.yml").read_text())["groups"]

    assert {rule["alert"] for rule in group["rules"]} == {alert for alert, _ in CASES}


def test_the_rules_are_what_prometheus_takes(promtool):
    assert "SUCCESS" in promtool("check", "rules", "rules.yml")

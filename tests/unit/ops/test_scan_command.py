import json

import pytest

APP = {
    "repository": "ci/app",
    "tag": "1",
    "platform": "linux/arm64",
    "digest": "sha256:f00d",
    "packages": 90,
    "counts": {"critical": 1, "high": 2, "medium": 0, "low": 0, "unknown": 0},
    "severe": [
        {
            "id": "CVE-2026-1",
            "severity": "critical",
            "where": "openssl 3.0.1",
            "fixed": "3.0.2",
            "title": "bad",
        },
        {"id": "aws-key", "severity": "critical", "where": "/.env:1", "fixed": "", "title": "AWS key"},
    ],
}
TORN = {"repository": "web", "tag": "2", "platform": None, "digest": "sha256:f", "problem": "no blob"}
FOUND = {
    "images": [APP, TORN],
    "summary": {"severe": 1, "failed": 1, "words": "2 images scanned, 1 with findings\nci/app:1: 2"},
}
GOOD = {"images": [], "summary": {"severe": 0, "failed": 0, "words": "0 images scanned"}}


class Nomad:
    """Plays the job; checks/scan.py is tested by itself."""

    def __init__(self):
        self.last = self.now = FOUND

    def scan_now(self, _nomad, _settings, said):
        said(json.dumps(APP))
        said(json.dumps({"summary": {}}))
        return self.now


@pytest.fixture
def nomad(monkeypatch, pulumi):
    pulumi.configure(
        {
            "nomad:address": "http://127.0.0.1:4646",
            "consul:address": "127.0.0.1:8500",
            "vault:address": "http://127.0.0.1:8200",
        }
    )
    played = Nomad()
    monkeypatch.setattr("ops.scan.last_scan", lambda *_: played.last)
    monkeypatch.setattr("ops.scan.scan_now", played.scan_now)
    monkeypatch.setattr("ops.scan.kept_words", lambda *_: "Consul keeps of it: critical")
    return played


def test_a_scan_is_a_table_and_what_is_severe_line_by_line(ops, nomad):
    ended = ops("scan")

    lines = [" ".join(line.split()) for line in ended.stdout.splitlines()]
    assert lines == [
        "image critical high medium low unknown packages",
        "ci/app:1 (linux/arm64) 1 2 90",
        "ci/app:1 (linux/arm64): critical CVE-2026-1 in openssl 3.0.1, mended in 3.0.2: bad",
        "ci/app:1 (linux/arm64): critical aws-key in /.env:1: AWS key",
        "web:2 could not be scanned: no blob",
        "2 images scanned, 1 with findings",
    ]


def test_findings_are_exit_code_1_and_none_are_0(ops, nomad):
    assert ops("scan").exit_code == 1
    nomad.last = GOOD
    assert ops("scan").exit_code == 0


def test_as_json_it_is_the_whole_report_and_nothing_else(ops, nomad):
    for arguments in (["--json"], ["--json", "--now"]):
        assert json.loads(ops("scan", *arguments).stdout) == FOUND


def test_a_scan_of_now_tells_how_far_it_is(ops, nomad):
    assert ops("scan", "--now").stderr == "scanned ci/app:1 (linux/arm64)\n"


def test_without_a_report_it_says_what_consul_keeps(ops, nomad):
    nomad.last = None
    ended = ops("scan")

    assert ended.exit_code == 1
    assert ended.stderr == "Consul keeps of it: critical\n"

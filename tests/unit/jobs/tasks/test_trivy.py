import json

import pytest

from jobs.tasks.trivy import Trivy, TrivyError

# Stands in for Trivy: keeps its arguments and its environment, and fails if it is told to.
PROGRAM = """#!/bin/sh
printf '%s\\n' "$*" >> "{folder}/calls"
env > "{folder}/env"
if [ -e "{folder}/words" ]; then cat "{folder}/words" >&2; exit 1; fi
"""


@pytest.fixture
def trivy(tmp_path):
    program = tmp_path / "trivy"
    program.write_text(PROGRAM.format(folder=tmp_path))
    program.chmod(0o755)

    def make(*scanners, ignore_unfixed=False):
        return Trivy(
            program=program,
            scratch=tmp_path / "scratch",
            scanners=scanners or ("vuln", "secret"),
            ignore_unfixed=ignore_unfixed,
        )

    return make


def calls(folder):
    file = folder / "calls"
    return file.read_text().splitlines() if file.exists() else []


def test_the_database_is_fetched_only_to_look_for_vulnerabilities(trivy, tmp_path):
    trivy("secret").fetch_database()
    assert calls(tmp_path) == []

    trivy().fetch_database()
    assert calls(tmp_path)[0].endswith("image --download-db-only")


def test_an_image_is_scanned_in_its_layout_for_what_the_stack_asks(trivy, tmp_path):
    trivy("secret").scan(tmp_path / "layout", tmp_path / "out.json")

    [call] = calls(tmp_path)
    assert f"--input {tmp_path}/layout --scanners secret --skip-db-update" in call
    assert f"--format json --output {tmp_path}/out.json" in call
    assert "--ignore-unfixed" not in call
    trivy(ignore_unfixed=True).scan(tmp_path / "layout", tmp_path / "out.json")
    assert "--scanners vuln,secret --ignore-unfixed" in calls(tmp_path)[1]


def test_an_sbom_is_made_from_the_report(trivy, tmp_path):
    trivy().sbom(tmp_path / "out.json", tmp_path / "out.cdx.json")

    assert calls(tmp_path)[0].endswith(
        f"convert --format cyclonedx --output {tmp_path}/out.cdx.json {tmp_path}/out.json"
    )


def test_a_failure_is_told_in_trivys_last_words(trivy, tmp_path):
    last = "2026-11-24T13:24:27Z\tFATAL\tFatal error\trun error: no image"
    (tmp_path / "words").write_text(f"one\ntwo\n\nthree\n{last}\n")

    with pytest.raises(TrivyError, match=r"^trivy image: two; three; run error: no image$"):
        trivy().scan(tmp_path / "layout", tmp_path / "out.json")


def test_it_gets_no_token_of_the_task_and_writes_only_below_its_scratch(trivy, tmp_path, monkeypatch):
    monkeypatch.setenv("NOMAD_TOKEN", "secret")
    trivy().fetch_database()

    env = dict(line.partition("=")[::2] for line in (tmp_path / "env").read_text().splitlines())
    assert "NOMAD_TOKEN" not in env
    assert env["HOME"] == env["TMPDIR"] == str(tmp_path / "scratch")
    assert f"--cache-dir {tmp_path}/scratch/cache" in json.dumps(calls(tmp_path))

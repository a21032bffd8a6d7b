import json
import stat

import pytest

from jobs.tasks.consul_check import ConsulError
from jobs.tasks.nomad_api import NomadError
from jobs.tasks.scan import main
from jobs.tasks.scan_layout import layout

CONFIG = "application/vnd.oci.image.config.v1+json"

# Stands in for Trivy: finds in an image what is said of its digest in the folder `found`.
PROGRAM = """#!/usr/bin/env python3
import json, pathlib, sys
folder, arguments = pathlib.Path({folder!r}), sys.argv[1:]
with (folder / "calls").open("a") as calls:
    print(*arguments, file=calls)
if "--download-db-only" in arguments:
    sys.exit("FATAL the database is away" if (folder / "offline").exists() else 0)
output = pathlib.Path(arguments[arguments.index("--output") + 1])
if "convert" in arguments:
    output.write_text("sbom")
    sys.exit()
layout = pathlib.Path(arguments[arguments.index("--input") + 1])
digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
found = folder / digest.partition(":")[2]
if found.exists() and found.read_text() == "broken":
    sys.exit("FATAL no image")
output.write_text(found.read_text() if found.exists() else "{{}}")
"""


def secrets(severity, count):
    each = {"RuleID": "aws-access-key-id", "Severity": severity, "StartLine": 1}
    return json.dumps({"Results": [{"Target": "/app/.env", "Secrets": [each] * count}]})


class Scanner:
    """The script in its allocation, with a Trivy that finds what a test says."""

    def __init__(self, folder, images, told):
        self.folder, self.images, self.told = folder, images, told
        self.allocation = folder / "alloc"
        self.allocation.mkdir()
        self.environment = {
            "NOMAD_ALLOC_DIR": str(self.allocation),
            "STORE": str(images.directory),
            "JOB": "docker-registry-scan",
            "NEWEST": "1",
            "SCANNERS": "vuln,secret",
            "THRESHOLD": "high",
            "IGNORE_UNFIXED": "false",
            "CONSUL_ADDRESS": "http://127.0.0.1:8500",
            "CHECK": "registry-scan",
            "CHECK_HOURS": "48",
        }

    def push(self, name, finds=""):
        repository, _, tag = name.partition(":")
        config = {"mediaType": CONFIG, "digest": self.images.blob(b"{}")}
        content = {
            "schemaVersion": 2,
            "config": config,
            "layers": [{"digest": self.images.blob(name.encode())}],
        }
        digest = self.images.manifest(repository, content)
        self.images.tag(repository, tag, digest)
        if finds:
            (self.folder / digest.partition(":")[2]).write_text(finds)
        return digest

    def run(self):
        program = self.allocation / "trivy"
        program.write_text(PROGRAM.format(folder=str(self.folder)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return main(self.environment)

    @property
    def report(self):
        text = (self.allocation / "reports/report.jsonl").read_text()
        *images, last = map(json.loads, text.splitlines())
        return {"images": images, **last}


@pytest.fixture
def scanner(tmp_path, images, monkeypatch):
    told = []
    monkeypatch.setattr(
        "jobs.tasks.scan.ConsulCheck.report",
        lambda check, *, passed, output: told.append((check.service, check.token, passed, output)),
    )
    variable = {"Items": {"consul_token": "consuls-token"}}
    nomad = type(
        "Nomad", (), {"get": lambda _, path: variable if path.endswith("/docker-registry-scan") else None}
    )
    monkeypatch.setattr("jobs.tasks.scan.Nomad.of_task", lambda _: nomad())
    return Scanner(tmp_path, images, told)


def test_images_without_findings_turn_the_check_good(scanner):
    scanner.push("app:1", secrets("LOW", 2))
    scanner.push("web:1")

    assert scanner.run() == 0
    words = "2 images scanned, 0 with findings at or above high"
    assert scanner.told == [("registry-scan", "consuls-token", True, words)]


def test_findings_at_the_threshold_turn_it_critical_and_name_the_worst_image_first(scanner):
    scanner.push("a:1", secrets("HIGH", 3))
    scanner.push("b:1", secrets("CRITICAL", 1))

    assert scanner.run() == 0
    [(_, _, passed, output)] = scanner.told
    assert not passed
    assert output == "2 images scanned, 2 with findings at or above high\nb:1: 1\na:1: 3"


def test_an_image_that_cannot_be_scanned_keeps_no_other_from_it(scanner):
    scanner.push("app:1", "broken")
    scanner.push("web:1", secrets("HIGH", 1))

    assert scanner.run() == 0
    [(_, _, passed, output)] = scanner.told
    assert not passed
    assert output.endswith("web:1: 1\napp:1 could not be scanned: trivy image: FATAL no image")
    assert scanner.report["summary"]["failed"] == 1


def test_the_report_and_the_log_say_the_same(scanner, capsys):
    digest = scanner.push("app:1", secrets("HIGH", 1))

    scanner.run()
    image, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert scanner.report == {"images": [image], **last}
    assert (image["repository"], image["tag"], image["digest"]) == ("app", "1", digest)
    assert image["counts"]["high"] == 1
    assert image["severe"][0]["where"] == "/app/.env:1"


def test_an_image_with_two_names_is_scanned_once(scanner):
    digest = scanner.push("app:1", secrets("HIGH", 1))
    scanner.images.manifest(
        "copy",
        json.loads(scanner.images.root.joinpath(f"blobs/sha256/{digest[7:9]}/{digest[7:]}/data").read_text()),
    )
    scanner.images.tag("copy", "1", digest)

    scanner.run()
    assert [each["counts"]["high"] for each in scanner.report["images"]] == [1, 1]
    assert (scanner.folder / "calls").read_text().count("--input") == 1


def test_a_database_that_is_away_is_told_and_nothing_is_scanned(scanner, capsys):
    scanner.push("app:1")
    (scanner.folder / "offline").touch()

    assert scanner.run() == 1
    words = "trivy image: FATAL the database is away"
    assert scanner.told == [("registry-scan", "consuls-token", False, words)]
    assert capsys.readouterr().err == f"{words}\n"


def test_trivys_reports_and_sboms_stay_and_what_is_big_goes(scanner):
    name = scanner.push("app:1").partition(":")[2]

    scanner.run()
    left = {str(each.relative_to(scanner.allocation)) for each in scanner.allocation.rglob("*.json*")}
    assert {f"reports/{name}.json", f"reports/{name}.cdx.json", "reports/report.jsonl"} <= left
    assert [each.name for each in scanner.allocation.iterdir()] == ["reports"]


def test_what_is_found_is_kept_as_it_comes(scanner, monkeypatch, capsys):
    scanner.push("a:1", secrets("HIGH", 1))
    scanner.push("b:1")
    monkeypatch.setattr("jobs.tasks.scan.layout", lambda *_: 1 / 0 if layouts.pop() else layout(*_))
    layouts = [True, False]

    with pytest.raises(ZeroDivisionError):  # or a machine that goes down
        scanner.run()
    kept = (scanner.allocation / "reports/report.jsonl").read_text()
    assert json.loads(kept)["repository"] == "a"
    assert capsys.readouterr().out == kept


def test_of_very_many_findings_the_first_are_told_one_by_one_and_all_are_counted(scanner):
    scanner.push("app:1", secrets("HIGH", 3000))

    assert scanner.run() == 0
    [image] = scanner.report["images"]
    assert (len(image["severe"]), image["more"], image["counts"]["high"]) == (1000, 2000, 3000)
    assert scanner.told[0][3].endswith("app:1: 3000")


def test_a_report_that_is_too_big_to_be_read_is_told(scanner):
    scanner.push("app:1", " " * (33 * 1024 * 1024))
    scanner.push("web:1", secrets("HIGH", 1))

    assert scanner.run() == 0
    app, web = scanner.report["images"]
    assert app["problem"].startswith("Trivy's report has 33.0 MiB, too much to be read: ")
    assert web["counts"]["high"] == 1


@pytest.mark.parametrize("error", [ConsulError("Consul is away"), NomadError("Nomad is away")], ids=str)
def test_a_scan_that_nobody_is_told_of_fails(scanner, monkeypatch, capsys, error):
    def away(*_, **__):
        raise error

    place = "ConsulCheck.report" if isinstance(error, ConsulError) else "Nomad.of_task"
    monkeypatch.setattr(f"jobs.tasks.scan.{place}", away)
    scanner.push("app:1")

    assert scanner.run() == 1
    assert "is away" in capsys.readouterr().err

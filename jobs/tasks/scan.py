"""Scans the newest images of the store with Trivy, which reads them from the volume, not from the registry.

Prints a line of JSON for each image, and a summary as the last line; the summary's words are the output of a
check in Consul too. All of it stays in the allocation's folder as `reports/report.json`, beside Trivy's own
reports and an SBOM of each image.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.tasks.consul_check import ConsulCheck, ConsulError
from jobs.tasks.nomad_api import Nomad, NomadError
from jobs.tasks.scan_layout import layout
from jobs.tasks.scan_report import Report, read
from jobs.tasks.scan_targets import Target, targets
from jobs.tasks.store import Store
from jobs.tasks.trivy import Trivy, TrivyError


@dataclass(frozen=True)
class Scanned:
    """An image, and what was found in it or why it could not be scanned."""

    target: Target
    report: Report | None
    problem: str | None

    @property
    def name(self) -> str:
        """Name the image as people do."""
        target = self.target
        tag = f":{target.tag}" if target.tag else ""
        return f"{target.repository}{tag}" + (f" ({target.platform})" if target.platform else "")

    def line(self) -> Mapping[str, object]:
        """Tell it as data."""
        target = self.target
        told = {key: getattr(target, key) for key in ("repository", "tag", "platform", "digest")}
        if self.report is None:
            return {**told, "problem": self.problem}
        return {**told, **asdict(self.report)}


def scan(store: Store, trivy: Trivy, reports: Path, newest: int, threshold: str) -> Iterator[Scanned]:
    """Scan one image after the other. Raises TrivyError if there is no database, OSError."""
    trivy.fetch_database()
    reports.mkdir()
    known: dict[str, Report | str] = {}  # an image may have several tags
    for target in targets(store, newest):
        result: Report | str = target.problem or ""
        if not result and target.digest:
            if target.digest not in known:
                known[target.digest] = _scan(store, trivy, reports, target, threshold)
            result = known[target.digest]
        yield Scanned(target, None, result) if isinstance(result, str) else Scanned(target, result, None)


def _scan(store: Store, trivy: Trivy, reports: Path, target: Target, threshold: str) -> Report | str:
    """Scan an image; the report, or why there is none: the others are scanned all the same."""
    name = str(target.digest).partition(":")[2]
    report = reports / f"{name}.json"
    try:
        with layout(trivy.scratch / "layout", store, target) as folder:
            trivy.scan(folder, report)
        trivy.sbom(report, reports / f"{name}.cdx.json")
        return read(json.loads(report.read_bytes()), threshold)
    except (TrivyError, OSError) as error:
        return str(error)


def summary(scanned: Sequence[Scanned], threshold: str, at: float) -> Mapping[str, Any]:
    """Say how many images are good, and name those that are not; the worst come first."""
    severe = sorted(
        (each for each in scanned if each.report and each.report.severe),
        key=lambda each: [-count for count in each.report.counts.values()] if each.report else [],
    )
    failed = [each for each in scanned if each.problem]
    lines = [f"{len(scanned)} images scanned, {len(severe)} with findings at or above {threshold}"]
    lines += [f"{each.name}: {len(each.report.severe)}" for each in severe if each.report]
    lines += [f"{each.name} could not be scanned: {each.problem}" for each in failed]
    return {
        "at": at,
        "images": len(scanned),
        "threshold": threshold,
        "severe": len(severe),
        "failed": len(failed),
        "words": "\n".join(lines),
    }


def run(environment: Mapping[str, str]) -> None:
    """Scan, print and report. Raises TrivyError, ConsulError, NomadError, OSError."""
    allocation, threshold = Path(environment["NOMAD_ALLOC_DIR"]), environment["THRESHOLD"]
    program, scratch, reports = (allocation / name for name in ("trivy", "scratch", "reports"))
    trivy = Trivy(
        program=program,
        scratch=scratch,
        scanners=environment["SCANNERS"].split(","),
        ignore_unfixed=environment["IGNORE_UNFIXED"] == "true",
    )
    store, scanned = Store(Path(environment["STORE"])), []
    try:
        for each in scan(store, trivy, reports, int(environment["NEWEST"]), threshold):
            print(json.dumps(each.line()))
            scanned.append(each)
    finally:
        # Nomad keeps the allocation's folder for hours, and these are big.
        program.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
    made = summary(scanned, threshold, time.time())
    lines = [each.line() for each in scanned]
    (reports / "report.json").write_text(json.dumps({"images": lines, "summary": made}))
    _check(environment).report(passed=not made["severe"] and not made["failed"], output=made["words"])
    print(json.dumps({"summary": made}))


def _check(environment: Mapping[str, str]) -> ConsulCheck:
    """Describe the check; a token for it may be in the job's own Nomad variable. Raises NomadError."""
    variable = Nomad.of_task(environment).get(f"/v1/var/nomad/jobs/{environment['JOB']}")
    return ConsulCheck.of_task(environment, variable["Items"].get("consul_token") if variable else None)


def main(environment: Mapping[str, str]) -> int:
    """Run; the exit code. Findings are no failure of the scan."""
    try:
        run(environment)
    except (ConsulError, NomadError) as error:
        print(error, file=sys.stderr)
        return 1
    except (TrivyError, OSError) as error:
        print(error, file=sys.stderr)
        try:
            _check(environment).report(passed=False, output=str(error))
        except (ConsulError, NomadError) as untold:
            print(untold, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # A container's first process ignores what it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(os.environ))

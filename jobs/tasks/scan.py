"""Scans the newest images of the store with Trivy, which reads them from the volume, not from the registry.

Prints a line of JSON for each image as soon as it is scanned, and a summary as the last line; the summary's
words are the output of a check in Consul too. The same lines stay in the allocation's folder as
`reports/report.jsonl`, also those of a scan that is cut off. Beside them are Trivy's own reports, and an SBOM
of each image.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.tasks.consul_check import ConsulCheck, ConsulError
from jobs.tasks.nomad_api import Nomad, NomadError
from jobs.tasks.scan_layout import layout
from jobs.tasks.scan_report import Report, ReportError, read_file
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
    """Scan one image after the other. Raises OSError."""
    problems: dict[str, str | None] = {}  # by digest: an image may have several tags
    for target in targets(store, newest):
        if target.problem or not target.digest:
            yield Scanned(target, None, target.problem)
            continue
        report = reports / f"{target.digest.partition(':')[2]}.json"
        if target.digest not in problems:
            problems[target.digest] = _problem(store, trivy, report, target)
        yield _read(target, report, problems[target.digest], threshold)


def _problem(store: Store, trivy: Trivy, report: Path, target: Target) -> str | None:
    """Scan an image; say why it could not be, if so: the others are scanned all the same."""
    try:
        with layout(trivy.scratch / "layout", store, target) as folder:
            trivy.scan(folder, report)
        trivy.sbom(report, report.with_suffix(".cdx.json"))
    except (TrivyError, OSError) as error:
        return str(error)
    return None


def _read(target: Target, report: Path, problem: str | None, threshold: str) -> Scanned:
    """Read what was found, again for each name of an image: in memory it is only while it is told."""
    try:
        return Scanned(target, None if problem else read_file(report, threshold), problem)
    except (ReportError, OSError) as error:
        return Scanned(target, None, str(error))


class Tally:
    """What a summary says of the images: few words of each, however much was found."""

    def __init__(self) -> None:
        self._images, self._failed = 0, list[str]()
        self._severe: list[tuple[list[int], str, int]] = []  # as they are sorted, name, findings

    def add(self, scanned: Scanned) -> None:
        """Count an image."""
        self._images += 1
        if scanned.report is None:
            self._failed.append(f"{scanned.name} could not be scanned: {scanned.problem}")
        elif scanned.report.severe:
            worst_first = [-count for count in scanned.report.counts.values()]
            self._severe.append((worst_first, scanned.name, scanned.report.severe_count))

    def summary(self, threshold: str, at: float) -> Mapping[str, Any]:
        """Say how many images are good, and name those that are not; the worst come first."""
        severe = sorted(self._severe, key=lambda each: each[0])
        words = f"{self._images} images scanned, {len(severe)} with findings at or above {threshold}"
        return {
            "at": at,
            "images": self._images,
            "threshold": threshold,
            "severe": len(severe),
            "failed": len(self._failed),
            "words": "\n".join([words, *(f"{name}: {count}" for _, name, count in severe), *self._failed]),
        }


def run(environment: Mapping[str, str]) -> None:
    """Scan, print and report. Raises TrivyError if there is no database, ConsulError, NomadError, OSError."""
    allocation, threshold = Path(environment["NOMAD_ALLOC_DIR"]), environment["THRESHOLD"]
    program, scratch, reports = (allocation / name for name in ("trivy", "scratch", "reports"))
    trivy = Trivy(
        program=program,
        scratch=scratch,
        scanners=environment["SCANNERS"].split(","),
        ignore_unfixed=environment["IGNORE_UNFIXED"] == "true",
    )
    store, tally = Store(Path(environment["STORE"])), Tally()
    try:
        trivy.fetch_database()
        reports.mkdir()
        for each in scan(store, trivy, reports, int(environment["NEWEST"]), threshold):
            _tell(reports, each.line())
            tally.add(each)
    finally:
        # Nomad keeps the allocation's folder for hours, and these are big.
        program.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
    made = tally.summary(threshold, time.time())
    _tell(reports, {"summary": made})
    _check(environment).report(passed=not made["severe"] and not made["failed"], output=made["words"])


def _tell(reports: Path, told: Mapping[str, object]) -> None:
    """Print a line of JSON, and keep it."""
    line = json.dumps(told)
    print(line)
    with (reports / "report.jsonl").open("a") as report:
        report.write(f"{line}\n")


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

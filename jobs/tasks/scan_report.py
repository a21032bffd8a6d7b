"""What Trivy found in an image, counted, and what is severe enough to be told one by one."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.tasks.store_size import readable

SEVERITIES = ("critical", "high", "medium", "low", "unknown")

# An image can be made so that Trivy finds as much in it as somebody wants.
_LONGEST_REPORT = 32 * 1024 * 1024  # bytes, some ten times that in memory; 10,000 packages are 10 MB
_MOST = 1000  # findings that are told one by one
_LONGEST = 300  # characters of each text in them


class ReportError(Exception):
    """A report of Trivy's is too big; the message says so."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A vulnerability of a package, or a secret in a file; never the secret itself."""

    id: str  # CVE-… or the rule that found the secret
    severity: str
    where: str  # package and version, or file and line
    fixed: str  # version that mends it; empty if there is none
    title: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """One image's."""

    counts: Mapping[str, int]  # by severity
    severe: Sequence[Finding]  # at or above the threshold, the worst of them
    packages: int
    more: int = 0  # findings at or above the threshold that are not told one by one

    @property
    def severe_count(self) -> int:
        """Count all at or above the threshold."""
        return len(self.severe) + self.more


def read_file(file: Path, threshold: str) -> Report:
    """Read Trivy's report from a file. Raises OSError, and ReportError if it is too big."""
    size = file.stat().st_size
    if size > _LONGEST_REPORT:
        raise ReportError(f"Trivy's report has {readable(size)}, too much to be read: {file.name} has it")
    return read(json.loads(file.read_bytes()), threshold)


def read(document: Mapping[str, Any], threshold: str) -> Report:
    """Read Trivy's report (JSON, SchemaVersion 2)."""
    results = document.get("Results") or []
    found = [finding for result in results for finding in _findings(result)]
    levels = SEVERITIES[: SEVERITIES.index(threshold) + 1]
    severe = sorted(
        (finding for finding in found if finding.severity in levels),
        key=lambda finding: (SEVERITIES.index(finding.severity), finding.id, finding.where),
    )
    return Report(
        counts={each: sum(finding.severity == each for finding in found) for each in SEVERITIES},
        severe=severe[:_MOST],
        more=len(severe[_MOST:]),
        packages=sum(len(result.get("Packages") or []) for result in results),
    )


def _findings(result: Mapping[str, Any]) -> Iterator[Finding]:
    for each in result.get("Vulnerabilities") or []:
        yield Finding(
            id=each["VulnerabilityID"][:_LONGEST],
            severity=_severity(each),
            where=f"{each.get('PkgName', '')} {each.get('InstalledVersion', '')}".strip()[:_LONGEST],
            fixed=each.get("FixedVersion", "")[:_LONGEST],
            title=each.get("Title", "")[:_LONGEST],
        )
    for each in result.get("Secrets") or []:
        yield Finding(
            id=each["RuleID"][:_LONGEST],
            severity=_severity(each),
            where=f"{result.get('Target', '')[-_LONGEST:]}:{each.get('StartLine', '')}".strip(":"),
            fixed="",
            title=each.get("Title", "")[:_LONGEST],
        )


def _severity(found: Mapping[str, Any]) -> str:
    severity = str(found.get("Severity", "")).lower()
    return severity if severity in SEVERITIES else "unknown"

"""What Trivy found in an image, counted, and what is severe enough to be told one by one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SEVERITIES = ("critical", "high", "medium", "low", "unknown")


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
    severe: Sequence[Finding]  # at or above the threshold
    packages: int


def read(document: Mapping[str, Any], threshold: str) -> Report:
    """Read Trivy's report (JSON, SchemaVersion 2)."""
    results = document.get("Results") or []
    found = [finding for result in results for finding in _findings(result)]
    severe = SEVERITIES[: SEVERITIES.index(threshold) + 1]
    return Report(
        counts={each: sum(finding.severity == each for finding in found) for each in SEVERITIES},
        severe=sorted(
            (finding for finding in found if finding.severity in severe),
            key=lambda finding: (SEVERITIES.index(finding.severity), finding.id, finding.where),
        ),
        packages=sum(len(result.get("Packages") or []) for result in results),
    )


def _findings(result: Mapping[str, Any]) -> Iterator[Finding]:
    for each in result.get("Vulnerabilities") or []:
        yield Finding(
            id=each["VulnerabilityID"],
            severity=_severity(each),
            where=f"{each.get('PkgName', '')} {each.get('InstalledVersion', '')}".strip(),
            fixed=each.get("FixedVersion", ""),
            title=each.get("Title", ""),
        )
    for each in result.get("Secrets") or []:
        yield Finding(
            id=each["RuleID"],
            severity=_severity(each),
            where=f"{result.get('Target', '')}:{each.get('StartLine', '')}".strip(":"),
            fixed="",
            title=each.get("Title", ""),
        )


def _severity(found: Mapping[str, Any]) -> str:
    severity = str(found.get("Severity", "")).lower()
    return severity if severity in SEVERITIES else "unknown"

"""Runs Trivy on an image in an OCI layout (Trivy 0.74)."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_WORDS = 3  # lines of Trivy's own that are worth repeating
_LONGEST = 600  # characters of them
_PREFIX = re.compile(r"^\d{4}-\d\d-\d\dT\S+\s+[A-Z]+\s+(Fatal error\s+)?")  # time and level


class TrivyError(Exception):
    """Trivy did not do what it was asked; the message has its own words."""


@dataclass(frozen=True, kw_only=True)
class Trivy:
    """The program, what it looks for, and a folder for its database and temporary files."""

    program: Path
    scratch: Path
    scanners: Sequence[str]
    ignore_unfixed: bool

    def fetch_database(self) -> None:
        """Download what is known of vulnerabilities, if it is asked for. Raises TrivyError."""
        if "vuln" in self.scanners:
            self._run("image", "--download-db-only")

    def scan(self, layout: Path, report: Path) -> None:
        """Scan the image; write the report, which lists its packages too. Raises TrivyError."""
        self._run(
            "image",
            *("--input", str(layout)),
            *("--scanners", ",".join(self.scanners)),
            *(["--ignore-unfixed"] if self.ignore_unfixed else []),
            "--skip-db-update",  # it is there, and the same for all images of a run
            "--skip-version-check",
            "--disable-telemetry",
            *("--parallel", "1"),  # the machine has other work
            *("--timeout", "1h"),
            *("--format", "json"),
            *("--output", str(report)),
        )

    def sbom(self, report: Path, target: Path) -> None:
        """Write the packages that a report lists as an SBOM (CycloneDX). Raises TrivyError."""
        self._run("convert", "--format", "cyclonedx", "--output", str(target), str(report))

    def _run(self, *arguments: str) -> None:
        command = [str(self.program), "--quiet", "--cache-dir", str(self.scratch / "cache"), *arguments]
        self.scratch.mkdir(exist_ok=True)
        done = subprocess.run(
            command,
            cwd=self.scratch,
            env={"PATH": os.defpath, "HOME": str(self.scratch), "TMPDIR": str(self.scratch)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            text = done.stderr.decode(errors="replace")
            lines = [" ".join(_PREFIX.sub("", line).split()) for line in text.splitlines()]
            words = "; ".join([line for line in lines if line][-_WORDS:])[-_LONGEST:]
            raise TrivyError(f"trivy {arguments[0]}: {words or f'exit code {done.returncode}'}")

"""Section `maintenance.scan`: what looks for vulnerabilities and secrets in the images."""

from typing import Literal

from pydantic import Field

from config.sections.base import Image, Section
from config.sections.schedule import Schedule

Scanner = Literal["vuln", "secret"]
Severity = Literal["low", "medium", "high", "critical"]


class Scan(Section):
    """Scans of the newest images by Trivy."""

    schedule: Schedule = Field("17 5 * * *", description="When it runs (cron, or as @daily).")
    image: Image = Field("aquasec/trivy:0.74.0", description="Image with Trivy.")
    newest: int = Field(1, ge=1, description="How many of the newest tags of each repository.")
    scanners: tuple[Scanner, ...] = Field(
        ("vuln", "secret"),
        min_length=1,
        description="What is looked for. For vuln Trivy downloads its database.",
    )
    threshold: Severity = Field(
        "critical", description="The check in Consul is critical if anything this severe is found."
    )
    ignore_unfixed: bool = Field(False, description="Leave out vulnerabilities that no update mends yet.")

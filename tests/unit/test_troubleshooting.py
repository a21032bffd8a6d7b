"""docs/troubleshooting.md says what the checks say. Run as a program, this file writes its table anew."""

import re
from pathlib import Path

from checks.doctor.examination import CHECKS
from checks.doctor.finding import Told

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
TABLE = re.compile(r"(?<=<!-- checks -->\n).*?(?=<!-- /checks -->)", re.DOTALL)


def table():
    lines = ["| symptom | cause | check | what mends it |", "|---|---|---|---|"]
    for told in map(Told.of, CHECKS):
        cells = (told.symptom, told.cause, f"`{told.id}`: {told.title}", told.fix)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def test_the_table_is_what_the_checks_say():
    assert TABLE.search(PAGE.read_text())[0] == table(), (
        "docs/troubleshooting.md is old; write it anew: "
        "PYTHONPATH=. .venv/bin/python tests/unit/test_troubleshooting.py"
    )


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text()))

"""The blocks of README and docs. A test that runs one takes its text from the document, by its first line."""

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(str(page.relative_to(REPOSITORY)) for page in sorted(REPOSITORY.glob("docs/**/*.md"))),
]
FENCE = re.compile(r" *```(\w*)$")
REMARK = re.compile(r" *<!-- (.*) -->$")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code, fenced or indented, without its indentation."""

    page: str
    heading: str
    line: int  # of its first line
    remark: str  # the comment directly before it
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}: {self.name}"

    @property
    def name(self):
        """Its first line."""
        return self.text.partition("\n")[0]

    @property
    def is_settings(self):
        return self.name.startswith("docker-registry:")

    @property
    def is_client_configuration(self):
        """Whether it is a part of a Nomad client's configuration."""
        return self.name in ("client {", 'plugin "docker" {')

    @property
    def commands(self):
        """Its commands, each with the lines on which it goes on."""
        return re.findall(r"(?:.*(?:\\|\|)\n)*.+", self.text)


def blocks(page):
    """All blocks of a page, in their order."""
    lines = (REPOSITORY / page).read_text().splitlines()
    found, heading, remark, number = [], "", "", 0
    while number < len(lines):
        line = lines[number]
        fence = FENCE.match(line)
        starts_indented = line.startswith("    ") and (not lines[number - 1].strip() or remark)
        if fence or starts_indented:
            first = number + 1 if fence else number
            end = _end_of_fence(lines, first) if fence else _end_of_indented(lines, first)
            text = _dedent(lines[first:end])
            found.append(Block(page=page, heading=heading, line=first + 1, remark=remark, text=text))
            remark, number = "", end + bool(fence)
            continue
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if line.strip():
            comment = REMARK.match(line)
            remark = comment[1] if comment else ""
        number += 1
    return found


def block(page, name, *, under=None):
    """The one block of a page that begins with this line, under this heading if it is not the only one."""
    found = [each for each in blocks(page) if each.name == name and under in (None, each.heading)]
    assert len(found) == 1, f"{page} has {len(found)} blocks that begin with: {name}"
    return found[0]


def every_block():
    return [each for page in PAGES for each in blocks(page)]


def _end_of_fence(lines, first):
    return next(number for number in range(first, len(lines)) if lines[number].strip() == "```")


def _end_of_indented(lines, first):
    end = first
    while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
        end += 1
    while not lines[end - 1].strip():
        end -= 1
    return end


def _dedent(lines):
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join(line[indent:] for line in lines)

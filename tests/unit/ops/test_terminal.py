"""What comes from a server or a pushed image is harmless on a terminal, in every command."""

import ast
import io
import json
import sys
import unicodedata
from pathlib import Path

import pytest
import typer

from checks.errors import CheckError
from checks.visible import visible, visible_lines
from ops import __main__ as program
from ops import terminal
from ops.terminal import Colored, say, say_json, say_lines, say_table, written, wrong_usage

REPOSITORY = Path(__file__).parents[3]
ROOMS = ("ops", "checks", "config", "monitoring")  # what a command runs on this machine
# Of each kind that does harm: screen, title, link, 8-bit CSI, line, direction, width, half a pair, markup.
HOSTILE = (
    "\x1b[2J\x1b[31m \x1b]0;title\x07 \x1b]8;;http://evil\x1b\\ \x9b1m \r\n\x08\x7f\x0b\x0c\x00 "
    "\u202e\u2066\u200f\u061c \u200b\ufeff\u2028\u2029 \ud800 [red]red[/red] [link=x]l[/] :smile:"
)
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def is_harmless(text):
    """Whether a terminal only shows it: no control but the ends of lines, nothing without a width."""
    return all(
        each in "\n\t"
        or (unicodedata.category(each)[0] != "C" and unicodedata.bidirectional(each) not in DIRECTIONS)
        for each in text
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def shown(monkeypatch):
    """Do something at a terminal that has colors; what it wrote, to either stream."""

    def run(write, *arguments):
        stream = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            patch.setattr(sys, "stderr", stream)
            patch.setenv("COLUMNS", "1000")
            patch.setenv("TERM", "dumb")  # so that rich writes no sequences of its own
            write(*arguments)
        return stream.getvalue()

    return run


@pytest.mark.parametrize(
    "write",
    [
        say,
        lambda text: say(text, err=True),
        lambda text: say((f"{text:<12}", text)),
        say_lines,
        lambda text: say_lines(text, err=True, nl=False),
        lambda text: say_json([text, {text: text}]),
        lambda text: say_table(("a", "b"), [(text, "x"), ("x", text)]),
    ],
    ids=["line", "error", "parts", "lines", "lines of an error", "JSON", "table"],
)
def test_nothing_hostile_reaches_the_terminal(shown, write):
    text = shown(write, HOSTILE)

    assert text and is_harmless(text)


def test_what_is_written_by_its_code_can_be_read_and_markup_is_text(shown):
    line, table = shown(say, HOSTILE), shown(say_table, ("a",), [(HOSTILE,)])

    for text in (line, table):
        assert r"\x1b[2J" in text and r"\u202e" in text and r"\r\n" in text and r"\ud800" in text
        assert "[red]red[/red] [link=x]l[/] :smile:" in text


def test_a_line_stays_one_line_and_printable_text_stays_as_it_is(shown):
    assert shown(say, "a\nhealthy: b") == "a\\nhealthy: b\n"
    assert shown(say, "größe 画像 🐳 …\t|") == "größe 画像 🐳 …\t|\n"


def test_json_stays_exact(shown):
    assert json.loads(shown(say_json, {"a": HOSTILE})) == {"a": HOSTILE}


def test_a_color_is_ours_alone():
    assert written((Colored("good\x1b[31m", "green"), "\x1b[31m")) == (
        typer.style(r"good\x1b[31m", fg="green") + r"\x1b[31m"
    )


def test_questions_and_errors_of_arguments_are_harmless(monkeypatch):
    asked = []
    monkeypatch.setattr(typer, "confirm", lambda text, **_: asked.append(text))
    monkeypatch.setattr(typer, "prompt", lambda text, **_: asked.append(text) or "")

    terminal.confirm(HOSTILE)
    terminal.ask_secret(HOSTILE)
    asked.append(wrong_usage(HOSTILE).message)

    assert len(asked) == 3 and all(map(is_harmless, asked))


def test_an_error_has_its_lines_and_is_harmless_also_where_pulumi_prints_it():
    assert str(CheckError("a\n  b\x1b[2J")) == "a\n  b\\x1b[2J"
    assert is_harmless(str(CheckError(HOSTILE)))
    assert "<{%" not in str(CheckError("<{%no color%}>"))


@pytest.mark.parametrize("error", [CheckError(HOSTILE), ValueError(HOSTILE)], ids=["known", "ours"])
def test_what_goes_wrong_is_told_harmlessly_with_exit_code_1(monkeypatch, shown, error):
    def fail(**_):
        raise error

    def run():
        with pytest.raises(SystemExit, match="1"):
            program.main()

    monkeypatch.setattr(program, "app", fail)
    text = shown(run)

    assert r"\x1b[2J" in text and is_harmless(text)


def test_every_character_is_either_shown_or_written_by_its_code():
    for plane in (0, 1, 14):  # the others have letters, or are for private use
        hidden = "".join(map(chr, range(plane << 16, (plane << 16) + 0x3000)))
        shown = visible(hidden)
        assert is_harmless(shown) and visible(shown) == shown
        assert len(shown) <= 10 * len(hidden)
        assert [each for each in hidden if each.isprintable() and each not in shown] == []
    assert visible_lines("a\nb\r\nc") == "a\nb\\r\nc"


def test_no_command_writes_but_through_the_one_place():
    """A new command that prints by itself fails here: it writes by ops/terminal.py."""
    found = []
    for room in ROOMS:
        for file in (REPOSITORY / room).rglob("*.py"):
            if file != Path(terminal.__file__):
                found += [f"{file.relative_to(REPOSITORY)}:{line}: {what}" for line, what in writes(file)]

    assert not found


def test_each_way_of_writing_is_found(tmp_path):
    for text in (
        "print(1)",
        "typer.echo(1)",
        "from typer import echo",
        "import click",
        "from rich.console import Console",
        "sys.stdout.write(1)",
        "from sys import stderr",
        "import logging",
        "typer.BadParameter(1)",
        "os.write(1, b'')",
    ):
        file = tmp_path / "command.py"
        file.write_text(text)
        assert len(list(writes(file))) == 1, text


_MODULES = {"click", "rich", "logging", "warnings"}
_TYPER = {"echo", "secho", "style", "confirm", "prompt", "progressbar", "BadParameter", "launch"}
_ATTRIBUTES = {
    "typer": _TYPER,
    "sys": {"stdout", "stderr", "__stdout__", "__stderr__"},
    "os": {"write"},
    "traceback": {"print_exc"},
}


def writes(file):
    """Find what writes to a terminal, or asks there, in a module."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Name(id="print" | "input"):
                yield node.lineno, node.id
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in _ATTRIBUTES.get(module, ()):
                yield node.lineno, f"{module}.{name}"
            case ast.Import(names=names):
                yield from ((node.lineno, each.name) for each in names if _forbidden(each.name))
            case ast.ImportFrom(module=str(module), names=names):
                if _forbidden(module) or _ATTRIBUTES.get(module, set()) & {each.name for each in names}:
                    yield node.lineno, module


def _forbidden(module):
    return module.partition(".")[0] in _MODULES

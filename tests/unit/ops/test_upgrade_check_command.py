import json

import pytest

from checks.upgrade import Finding, Upgrade
from config.registry import RegistryVersion

STORE = {"repositories": 2, "manifests": 5, "free": 3 * 1024**3, "total": 10 * 1024**3}
OLD = Finding(where="store", what="old/app:7 is of schema 1", blocks=True)
ROOM = Finding(where="store", what="512.0 MiB free", blocks=False)
KEY = Finding(where="settings", what="docker-registry:auth.mode: 'vault' needs 3.x", blocks=True)


@pytest.fixture
def found(monkeypatch, pulumi):
    """Plays the check, which is tested by itself; gives what it is to find."""
    pulumi.configure(
        {
            "nomad:address": "http://127.0.0.1:4646",
            "consul:address": "127.0.0.1:8500",
            "vault:address": "http://127.0.0.1:8200",
            "docker-registry:registry": '{"image": "registry:2"}',
        }
    )
    findings = []

    def ask(_nomad, settings, config, _env, image):
        assert json.loads(config["docker-registry:registry"])["image"] == settings.registry.image
        return Upgrade(
            image_now=settings.registry.image,
            image=image,
            version_now=settings.registry_version,
            version=RegistryVersion.V3,
            findings=tuple(findings),
            store=STORE,
        )

    monkeypatch.setattr("ops.upgrade_check.ask", ask)
    return findings


def test_a_stack_that_is_ready_is_told_the_one_line_that_upgrades(ops, found):
    ended = ops("upgrade-check")

    assert ended.exit_code == 0
    assert ended.stdout.splitlines() == [
        "from registry:2 (2.x) to registry:3 (3.x)",
        "store: repositories 2, manifests 5, free 3.0 GiB",
        "nothing stands in the way",
        "  pulumi config set --path docker-registry:registry.image registry:3",
        "  pulumi up",
    ]


def test_what_stands_in_the_way_is_a_line_each_and_exit_code_1(ops, found):
    found += [KEY, OLD, ROOM]
    ended = ops("upgrade-check", "registry:3.1")

    assert ended.exit_code == 1
    assert ended.stdout.splitlines()[2:] == [
        "stands in the way: settings: docker-registry:auth.mode: 'vault' needs 3.x",
        "stands in the way: store: old/app:7 is of schema 1",
        "to know: store: 512.0 MiB free",
        "how to mend the store: docs/operations.md, Mending the store",
    ]


def test_what_is_only_to_know_stands_in_no_way(ops, found):
    found += [ROOM]

    assert ops("upgrade-check").exit_code == 0


def test_the_image_that_runs_is_not_proposed_again(ops, found):
    assert "pulumi up" not in ops("upgrade-check", "registry:2").stdout


def test_json_has_everything(ops, found):
    found += [OLD]
    ended = ops("upgrade-check", "--json")

    told = json.loads(ended.stdout)
    assert ended.exit_code == 1
    assert (told["ready"], told["image_now"], told["image"]) == (False, "registry:2", "registry:3")
    assert told["findings"] == [{"where": "store", "what": OLD.what, "blocks": True}]
    assert told["store"] == STORE

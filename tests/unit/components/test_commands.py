"""What every command of the program has in common."""

import pytest
from pulumi.runtime.rpc import _special_sig_key

HOST = {"address": "192.168.1.5", "user": "root", "privateKey": "key", "hostKey": "ssh-ed25519 AAAA"}
KEEPS_FILES = {"monitoring": {"directory": "/srv/monitoring"}}
STACKS = {
    "on this machine": {"maintenance": {"backup": {}, "scan": {}}, **KEEPS_FILES},
    "on another machine": {
        "storage": {"host": HOST},
        "tls": {"mode": "registry"},
        "access": {"trustedHosts": [HOST]},
    },
}
# An input that holds a secret is a struct with this key; `connection` never reaches the script.
SECRET, NOT_THE_SCRIPTS = _special_sig_key, "connection"


@pytest.mark.parametrize("stack", STACKS)
def test_what_a_command_prints_is_secret_where_its_script_is_given_a_secret(whole_program, stack):
    registered = whole_program(STACKS[stack])
    commands = [each for (kind, _), each in registered.items() if kind.startswith("command:")]
    given = [
        each
        for each in commands
        if any(SECRET in str(value) for key, value in each.object.items() if key != NOT_THE_SCRIPTS)
    ]

    assert bool(given) == (stack == "on this machine"), "checks are given Consul's token"
    for each in given:
        assert {*each.additionalSecretOutputs} >= {"stdout", "stderr"}, each.name


def test_these_stacks_have_every_command_of_the_program(whole_program):
    """By the files that make one; a new one belongs into a stack above."""
    made = {name for stack in STACKS.values() for kind, name in whole_program(stack) if "command:" in kind}

    assert {name.rpartition("-")[2] for name in made if "trust" not in name} == {
        "directory",
        "secret",
        "check",
        "files",
    }

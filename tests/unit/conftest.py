import asyncio
import json
from dataclasses import dataclass, field

import bcrypt
import pulumi
import pytest
from pulumi.runtime.rpc import _special_secret_sig, _special_sig_key

from config.settings import Settings

SERVERS = {
    "nomad:address": "http://127.0.0.1:4646",
    "consul:address": "127.0.0.1:8500",
    "vault:address": "http://127.0.0.1:8200",
}


@pytest.fixture
def bcrypt_hash():
    """A password's hash; any will do, at the lowest cost."""
    return bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()


@pytest.fixture
def read_settings():
    """Read settings from sections given as plain data, with the three servers' addresses set."""

    def read(env=None, servers=SERVERS, stack="dev", **sections):
        config = {f"docker-registry:{key}": json.dumps(value) for key, value in sections.items()}
        return Settings.read(stack, {**servers, **config}, env or {})

    return read


# What providers compute, by the types whose outputs the program reads.
_OUTPUTS = {"command:local:Command": {"stdout": "f00d\n"}, "vault:pkiSecret": {"certificate": "PEM"}}


@dataclass
class Recorder(pulumi.runtime.Mocks):
    """Records what the program registers, in place of an engine."""

    resources: list = field(default_factory=list)

    def new_resource(self, args):
        self.resources.append(args)
        outputs = _OUTPUTS.get(args.typ.partition("/")[0], {})
        return f"{args.name}-id", {**args.inputs, **outputs}

    def call(self, args):
        return {}

    def inputs(self, typ, name=None):
        found = [each.inputs for each in self.resources if each.typ == typ and name in (None, each.name)]
        assert len(found) == 1, f"{typ} {name}: {[(each.typ, each.name) for each in self.resources]}"
        return found[0]

    def secret(self, typ, name, key):
        """Give the value of a secret input; fails if it is in clear."""
        value = self.inputs(typ, name)[key]
        assert isinstance(value, dict) and value.get(_special_sig_key) == _special_secret_sig, "not a secret"
        return value["value"]

    def types(self):
        return [each.typ for each in self.resources]


@pytest.fixture
def deploy():
    """Run a function that creates components against recording mocks; gives the recorder and its result."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    recorder = Recorder()
    pulumi.runtime.set_mocks(recorder, project="docker-registry", stack="dev", preview=False)

    def run(program):
        results = []

        @pulumi.runtime.test
        def within_pulumi():
            return pulumi.Output.from_input(program()).apply(results.append)

        within_pulumi()
        return recorder, results[0]

    yield run
    loop.close()
    asyncio.set_event_loop(None)

"""All of `__main__.py` against recording mocks."""

import asyncio
import runpy
from pathlib import Path

import pulumi
import pytest
from pulumi.runtime import mocks

import components.dead_jobs
import components.free_names
import components.host_volume  # loads pulumi_command whole, before anything loads a part of it
import components.maintenance
import components.mirrors
import components.preflight
import components.stack_config

MAIN = Path(__file__).parents[3] / "__main__.py"


class Outputs(pulumi.runtime.Mocks):
    def new_resource(self, args):
        made = {"stdout": "f00d", "issuerId": "1", "certificate": "PEM", "accessor": "a", "clientId": "c"}
        return f"{args.name}-id", {**args.inputs, **made}

    def call(self, args):
        return {}


@pytest.fixture
def whole_program(monkeypatch, read_settings):
    """Run the program with some settings; gives what the engine is told of each resource.

    By type and name.
    """

    def run(sections):
        settings = read_settings(
            servers={
                "nomad:address": "http://127.0.0.1:4646",
                "consul:address": "127.0.0.1:8500",
                "consul:token": "c0nsul-t0ken",
                "vault:address": "http://127.0.0.1:8200",
            },
            **sections,
        )
        monkeypatch.setattr(components.stack_config, "stack_settings", lambda: settings)
        monkeypatch.setattr(components.free_names, "require_free_names", lambda _: None)
        monkeypatch.setattr(components.dead_jobs, "start_dead_jobs", lambda _: None)
        for name in ("preflight", "bound_network", "existing_authority"):
            monkeypatch.setattr(components.preflight, name, lambda _: None)
        for module in (components.preflight, components.maintenance, components.mirrors):
            monkeypatch.setattr(module, "nomad_acl", lambda _: True)
        monkeypatch.setattr(pulumi, "ResourceHook", lambda *_, **__: None)  # there is no engine to call them
        monkeypatch.setattr(pulumi, "ResourceHookBinding", lambda **_: None)
        registered = {}

        def register(monitor, request):
            registered[request.type, request.name] = request
            return answer(monitor, request)

        answer = mocks.MockMonitor.RegisterResource
        monkeypatch.setattr(mocks.MockMonitor, "RegisterResource", register)
        asyncio.set_event_loop(asyncio.new_event_loop())
        pulumi.runtime.set_mocks(Outputs(), project="docker-registry", stack="dev", preview=False)
        pulumi.runtime.test(lambda: runpy.run_path(str(MAIN), run_name="__main__") and None)()
        monkeypatch.setattr(mocks.MockMonitor, "RegisterResource", answer)
        return {
            key: each for key, each in registered.items() if each.custom and not key[0].startswith("pulumi:")
        }

    yield run
    asyncio.get_event_loop().close()
    asyncio.set_event_loop(None)

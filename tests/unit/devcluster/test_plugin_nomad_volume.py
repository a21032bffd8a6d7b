"""DynamicHostVolumeRegistration against a stand-in for Nomad 1.10's API: Nomad 1.6 has no such endpoint."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from devcluster.plugins.api import Api
from devcluster.plugins.errors import PluginError
from devcluster.plugins.nomad import DynamicHostVolumeRegistration, size_bytes
from devcluster.plugins.resource import Call

VOLUME_ID = "0ce4cf1c-5e7c-4b0b-9f53-7b8e0d4a1f10"


class StandIn(BaseHTTPRequestHandler):
    """Keeps one volume as Nomad's documentation says: pending at first, ready when asked again."""

    volume = None
    calls = ()

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def do_PUT(self):
        StandIn.calls += (("PUT", self.path),)
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Volume"]
        StandIn.volume = {"NodePool": "default", **sent, "ID": VOLUME_ID, "State": "pending"}
        self.answer(200, {"Volume": StandIn.volume, "Warnings": ""})

    def do_GET(self):
        found = StandIn.volume
        self.answer(200 if found else 404, found or "volume not found")
        StandIn.volume = found and {**found, "State": "ready"}

    def do_DELETE(self):
        StandIn.calls += (("DELETE", self.path),)
        StandIn.volume = None
        self.answer(200, {})

    def log_message(self, *_):
        pass


@pytest.fixture
def nomad():
    server = HTTPServer(("127.0.0.1", 0), StandIn)
    StandIn.volume, StandIn.calls = None, ()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def silent(_):
    pass


CALL = Call("urn", 30.0, silent)
WANTED = {
    "name": "registry_data",
    "namespace": "default",
    "nodeId": "72b3ee4d-6f5f-4d51-8a3c-2e6c8d3f9b11",
    "hostPath": "/volume1/nomad/volumes/registry_data",
    "capacity": "10 GiB",
    "capabilities": [{"accessMode": "single-node-writer", "attachmentMode": "file-system"}],
}


def test_registering_waits_until_the_volume_is_ready_and_tells_its_id(nomad):
    async def scenario():
        volumes = DynamicHostVolumeRegistration(Api("Nomad", nomad, "nomad:address", {}))
        return await volumes.create(WANTED, CALL)

    resource_id, outputs = asyncio.run(scenario())
    assert resource_id == VOLUME_ID
    assert outputs["state"] == "ready"
    assert StandIn.calls == (("PUT", "/v1/volume/host/register?namespace=default"),)
    assert StandIn.volume["CapacityBytes"] == 10 * 2**30
    assert StandIn.volume["RequestedCapabilities"] == [
        {"AccessMode": "single-node-writer", "AttachmentMode": "file-system"}
    ]


def test_a_registered_volume_is_read_updated_imported_and_deleted(nomad):
    async def scenario():
        volumes = DynamicHostVolumeRegistration(Api("Nomad", nomad, "nomad:address", {}))
        resource_id, state = await volumes.create(WANTED, CALL)
        unchanged = await volumes.changes(state, WANTED)
        moved = {**WANTED, "hostPath": "/volume2/registry_data"}
        changes = await volumes.changes(state, moved)
        await volumes.update(resource_id, state, moved, CALL)
        imported = await volumes.read(f"{VOLUME_ID}@default", {})
        await volumes.delete(resource_id, state, CALL)
        return unchanged, changes, imported, await volumes.read(resource_id, state)

    unchanged, changes, imported, gone = asyncio.run(scenario())
    assert unchanged == []
    assert [(change.path, change.replaces) for change in changes] == [("hostPath", False)]
    assert imported[0] == VOLUME_ID
    assert imported[1]["hostPath"] == "/volume2/registry_data"
    assert StandIn.calls[-1] == ("DELETE", f"/v1/volume/host/{VOLUME_ID}?namespace=default")
    assert gone is None


@pytest.mark.parametrize(
    ("text", "size"), [("500", 500), ("500MB", 500 * 10**6), ("10 GiB", 10 * 2**30), ("1.5k", 1500)]
)
def test_a_capacity_is_read_in_decimal_and_binary_units(text, size):
    assert size_bytes(text) == size


def test_a_capacity_that_is_no_size_is_refused_with_the_form_to_write():
    with pytest.raises(PluginError, match="'lots' is no size: write it like 10GiB"):
        size_bytes("lots")


def test_a_server_that_does_not_answer_is_named_with_the_setting_to_check():
    async def scenario():
        await Api("Nomad", "http://127.0.0.1:1", "the setting nomad:address", {}).call("GET", "/v1/jobs")

    with pytest.raises(PluginError, match=r"Nomad at http://127\.0\.0\.1:1 does not answer .* nomad:address"):
        asyncio.run(scenario())

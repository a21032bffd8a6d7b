"""A real S3 server, SeaweedFS, on an address that the cluster's containers reach."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from devcluster import storage_tools
from devcluster.files import PRIVATE, write

WEED = Path(sys.executable).with_name("weed")
REGION = "us-east-1"
START_SECONDS = 180
# Its parts listen on two ports each, which are options of these names.
PORTS = [f"{part}.{port}" for part in ("master", "volume", "filer", "s3") for port in ("port", "port.grpc")]


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """What a client needs to know of it."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = REGION

    def rclone(self, *arguments, check=True):
        """Run rclone, which knows the server as the remote `s3:`; gives what it printed, as bytes."""
        result = subprocess.run(
            [storage_tools.rclone(), *map(str, arguments)],
            env={"PATH": os.environ["PATH"], **self.rclone_env},
            capture_output=True,
            check=False,
            timeout=300,
        )
        assert not check or result.returncode == 0, f"rclone {arguments}: {result.stderr.decode()}"
        return result.stdout

    @property
    def rclone_env(self):
        """The remote, as rclone takes it from the environment: no key is in argv or in a file."""
        return {
            "RCLONE_CONFIG": "",  # no file
            "RCLONE_CONFIG_S3_TYPE": "s3",
            "RCLONE_CONFIG_S3_PROVIDER": "Other",
            "RCLONE_CONFIG_S3_ENDPOINT": self.endpoint,
            "RCLONE_CONFIG_S3_REGION": self.region,
            "RCLONE_CONFIG_S3_ACCESS_KEY_ID": self.access_key,
            "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": self.secret_key,
        }


@contextmanager
def s3_server(folder, address="127.0.0.2"):
    """Start one with its data below `folder`; it is ended by its pid and leaves nothing else behind.

    `bridge_address` is an address that containers reach as well. On 127.0.0.1 the plugins of every other run
    get ports from the kernel, maybe those that were free a moment ago.
    """
    folder.mkdir(parents=True, exist_ok=True)
    access_key, secret_key = secrets.token_hex(10), secrets.token_hex(20)
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config, data = folder / "s3.json", folder / "data"
    write(config, json.dumps({"identities": [identity]}), mode=PRIVATE)
    data.mkdir(exist_ok=True)
    ports = dict(zip(PORTS, free_ports(address, len(PORTS)), strict=True))
    options = [
        *(f"-dir={data}", f"-ip={address}", f"-ip.bind={address}"),
        *("-filer", "-s3", f"-s3.config={config}"),
        *(f"-{name}={port}" for name, port in ports.items()),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-master.telemetry=false"),
        # Small volumes, each made when it is needed: nothing is reserved on the disk.
        *("-master.volumeSizeLimitMB=64", "-volume.max=0", "-master.volumePreallocate=false"),
    ]
    with (folder / "weed.log").open("w") as log:
        command = [WEED, "-logtostderr=true", "server", *options]
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        endpoint = f"http://{address}:{ports['s3.port']}"
        _wait(server, endpoint, f"http://{address}:{ports['master.port']}", folder / "weed.log")
        yield S3Server(endpoint=endpoint, access_key=access_key, secret_key=secret_key)
    finally:
        server.kill()  # told to end, it takes half a minute over its farewells
        server.wait()
        for port in ports.values():  # its parts talk by sockets of a fixed folder
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)


def bridge_address(instance):
    """This machine's address on the bridge of the cluster's containers: they and the tests reach it."""
    shown = subprocess.run(
        ["ip", "-json", "-4", "address", "show", "dev", instance.label],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(shown.stdout)[0]["addr_info"][0]["local"]


def free_ports(address, count):
    """Ports that nobody listens on; all are held until all are known, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((address, 0))
        return [each.getsockname()[1] for each in sockets]


def _wait(server, endpoint, master, log):
    """Wait until it answers, and its master knows of a disk, without which nothing can be written."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            has_disk = '"DataNodes"' in httpx.get(f"{master}/dir/status").text
            if has_disk and httpx.get(f"{endpoint}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{endpoint} is not healthy after {START_SECONDS} s: {log.read_text()[-2000:]}")

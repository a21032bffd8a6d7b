"""A Redis, with a password unless told otherwise, on an address that the cluster's containers reach."""

import secrets
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from documents import block
from s3_server import free_ports

from devcluster import storage_tools
from devcluster.files import PRIVATE, write


@dataclass(frozen=True, kw_only=True)
class RedisServer:
    """What a client needs to know of it."""

    host: str
    port: int
    password: str | None = field(repr=False)

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def ask(self, *words):
        """Send one command; gives the first line of the answer."""
        with socket.create_connection((self.host, self.port), timeout=30) as connection:
            answers = connection.makefile("rb")
            for command in (*([("AUTH", self.password)] if self.password else []), words):
                parts = [str(word).encode() for word in command]
                body = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
                connection.sendall(b"*%d\r\n%s" % (len(parts), body))
                answer = answers.readline().decode().strip()
            return answer


@contextmanager
def redis_server(folder, address="127.0.0.1", *, with_password=True):
    """Start one that keeps nothing on disk; it is ended by its pid."""
    folder.mkdir(parents=True, exist_ok=True)
    [port] = free_ports(address, 1)
    made = RedisServer(host=address, port=port, password=secrets.token_hex(20) if with_password else None)
    # In a file: every user can read argv.
    settings = [
        f"bind {address}",
        f"port {port}",
        f"requirepass {made.password}" if made.password else "protected-mode no",
        block("docs/scaling.md", "maxmemory 64mb").text,
        f"dir {folder}",
    ]
    write(folder / "redis.conf", "\n".join(settings) + "\n", mode=PRIVATE)
    with (folder / "redis.log").open("w") as log:
        server = subprocess.Popen(
            ["redis-server", folder / "redis.conf"],
            executable=storage_tools.redis_server(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(server, made, folder / "redis.log")
        yield made
    finally:
        server.terminate()
        server.wait()


def _wait(server, made, log):
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            if made.ask("PING") == "+PONG":
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"no Redis after 60 s: {log.read_text()}")

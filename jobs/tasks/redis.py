"""A client of Redis: the little that is needed (Redis serialization protocol, RESP2)."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRWPair

TIMEOUT_SECONDS = 10


class RedisError(Exception):
    """Redis did not do what it was asked; the message says where, what and why."""


class UnreachableError(RedisError):
    """Nobody listens there."""


class Redis:
    """One connection."""

    def __init__(self, address: str, stream: BufferedRWPair) -> None:
        self._address, self._stream = address, stream

    def ask(self, *words: str) -> object:
        """Send a command and give its answer: a text, a number or a list of these. Raises RedisError."""
        parts = [word.encode() for word in words]
        body = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        try:
            self._stream.write(b"*%d\r\n%s" % (len(parts), body))
            self._stream.flush()
            return self._answer(words[0])
        except (OSError, ValueError) as error:
            raise RedisError(f"Redis at {self._address}: {words[0]} failed: {error}") from None

    def _answer(self, command: str) -> object:
        line = self._stream.readline().decode().rstrip("\r\n")
        kind, text = line[:1], line[1:]
        if kind == "-":
            raise RedisError(f"Redis at {self._address} answered {command}: {text}")
        if kind == ":":
            return int(text)
        if kind == "$":
            return self._stream.read(int(text) + 2)[:-2].decode() if int(text) >= 0 else ""
        if kind == "*":
            return [self._answer(command) for _ in range(int(text))]
        if kind == "+":
            return text
        raise ValueError("the connection ended" if not line else "no answer of Redis's")


@contextmanager
def connected(address: str, password: str | None, timeout: float = TIMEOUT_SECONDS) -> Iterator[Redis]:
    """Connect to host and port, and log in if there is a password. Raises RedisError."""
    host, _, port = address.rpartition(":")
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), timeout=timeout)
    except OSError as error:
        raise UnreachableError(f"Redis at {address} cannot be reached: {error}") from None
    with connection, connection.makefile("rwb") as stream:
        redis = Redis(address, stream)
        if password is not None:
            redis.ask("AUTH", password)
        yield redis

"""Whether something listens on a port, and what it says it is."""

import socket

import httpx

_TIMEOUT = 3  # seconds; on the same network


def is_open(address: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((address, port), timeout=_TIMEOUT):
            return True
    except OSError:
        return False


def who_answers(address: str, port: int) -> str | None:
    """Ask what listens there for its name (HTTP: Server); None if it does not say."""
    host = f"[{address}]" if ":" in address else address
    try:
        answer = httpx.get(f"http://{host}:{port}/", timeout=_TIMEOUT, trust_env=False, verify=False)  # noqa: S501 - no TLS
    except httpx.HTTPError:
        return None
    name: str | None = answer.headers.get("Server")
    return name

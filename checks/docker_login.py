"""The log-in at a registry that docker keeps on this machine."""

import base64
import json
import subprocess
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from checks.errors import CheckError

_TIMEOUT = 5  # seconds, for a credential helper


@dataclass(frozen=True, kw_only=True)
class Login(httpx.Auth):
    """User and password, or a token; neither is ever shown."""

    user: str | None
    header: str = field(repr=False)

    @property
    def token(self) -> str | None:
        """The bearer token, if it is one."""
        kind, _, value = self.header.partition(" ")
        return value if kind == "Bearer" else None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Log in a request."""
        request.headers["Authorization"] = self.header
        yield request


def docker_config_file(env: Mapping[str, str]) -> Path:
    """Where docker keeps its configuration."""
    folder = env.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def stored_login(file: Path, address: str) -> Login | None:
    """Read the log-in for an address as docker does; None if there is none. Raises CheckError.

    A token in the file comes before the credential helper (docker/cli, native_store.go).
    """
    try:
        config = json.loads(file.read_text() or "{}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CheckError(f"cannot read {file}: {error}") from None
    entry = (config.get("auths") or {}).get(address) or {}
    if token := entry.get("registrytoken"):
        return Login(user=None, header=f"Bearer {token}")
    helper = (config.get("credHelpers") or {}).get(address) or config.get("credsStore")
    if helper:
        return _of_helper(helper, address)
    if written := entry.get("auth"):
        user = base64.b64decode(written).decode().partition(":")[0]
        return Login(user=user, header=f"Basic {written}")
    return None


def _of_helper(helper: str, address: str) -> Login | None:
    """Ask a credential helper (docker/docker-credential-helpers: `get` takes the address on stdin)."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=address, capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
        found: Mapping[str, str] = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, subprocess.TimeoutExpired, ValueError):
        raise CheckError(f"{program} does not give the log-in at {address}") from None
    if not found:
        return None
    pair = base64.b64encode(f"{found['Username']}:{found['Secret']}".encode()).decode()
    return Login(user=found["Username"], header=f"Basic {pair}")

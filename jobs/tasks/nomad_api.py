"""Nomad's HTTP API by the socket that Nomad gives each task (Nomad 1.5 and newer: Task API)."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

TIMEOUT_SECONDS = 10
PATIENCE_SECONDS = 120  # for an agent that starts again, and for servers that elect a leader
_PAUSE_SECONDS = 1


class NomadError(Exception):
    """Nomad did not do what it was asked; the message says what and why. `status` is an HTTP code, if any."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Nomad:
    """The local agent, asked as the task: with its workload identity, in its namespace."""

    def __init__(self, secrets: Path, namespace: str, patience: float = PATIENCE_SECONDS) -> None:
        self._socket, self._token, self._namespace = secrets / "api.sock", secrets / "nomad_token", namespace
        self._patience = patience  # seconds

    @classmethod
    def of_task(cls, environment: Mapping[str, str], patience: float = PATIENCE_SECONDS) -> "Nomad":
        """Take socket and namespace from the environment. Raises NomadError if there is no socket."""
        secrets = Path(environment["NOMAD_SECRETS_DIR"])
        if not (secrets / "api.sock").exists():
            raise NomadError(
                f"there is no {secrets / 'api.sock'}: this Nomad client has no task API, which 1.5 brought; "
                "use a newer one"
            )
        return cls(secrets, environment["NOMAD_NAMESPACE"], patience)

    def get(self, path: str, **parameters: str | int) -> Any:
        """Read a path's JSON; None if Nomad has no such thing. Raises NomadError."""
        try:
            return self._ask("GET", path, parameters, None)
        except NomadError as error:
            if error.status == 404:
                return None
            raise

    def text(self, path: str, **parameters: str | int) -> str:
        """Read what is no JSON, as a log. Raises NomadError."""
        text: str = self._ask("GET", path, parameters, None, read=str)
        return text

    def put(self, path: str, body: object, **parameters: str | int) -> None:
        """Write JSON to a path. Raises NomadError; status 409 is a lost check-and-set."""
        self._ask("PUT", path, parameters, body)

    def delete(self, path: str, **parameters: str | int) -> None:
        """Delete what is at a path. Raises NomadError; status 409 is a lost check-and-set."""
        self._ask("DELETE", path, parameters, None)

    def _ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str | int],
        body: object,
        read: Callable[[str], Any] = json.loads,
    ) -> Any:
        """Ask, again and again while there is nobody who could answer."""
        url = f"{quote(path)}?{urlencode({'namespace': self._namespace, **parameters})}"
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._ask_once(method, url, body, read)
            except NomadError as error:
                away = error.status is None or error.status >= 500
                if not away or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE_SECONDS)

    def _ask_once(self, method: str, url: str, body: object, read: Callable[[str], Any]) -> Any:
        what = f"Nomad: {method} {url.partition('?')[0]}"
        connection = _SocketConnection(self._socket, min(TIMEOUT_SECONDS, self._patience))
        try:
            headers = {"Authorization": f"Bearer {self._token.read_text().strip()}"}  # it may be a new one
            connection.request(method, url, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            if answer.status >= 400:
                reason = " ".join(text.split())[:500]
                raise NomadError(f"{what} answered {answer.status}: {reason}", answer.status)
            return read(text) if text or read is str else None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NomadError(f"{what} failed: {error or type(error).__name__}") from None
        finally:
            connection.close()


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("nomad", timeout=timeout)
        self._path, self._timeout = path, timeout

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self._timeout)
        self.sock.connect(str(self._path))

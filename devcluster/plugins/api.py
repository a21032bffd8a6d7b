"""HTTP calls to a server, with errors that name it, the call and its own message."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

from devcluster.plugins.errors import PluginError

TIMEOUT = 30.0  # seconds; a call that waits on the server adds its own


class Api:
    """One server: its base URL, its headers, and the setting that a user would correct."""

    def __init__(
        self,
        server: str,
        base: str,
        setting: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,  # sent with every call
    ) -> None:
        self.server = server
        self.base = base.rstrip("/")
        self.setting = setting
        # No proxy from the environment: the servers are on this machine or in the home network.
        self._client = httpx.AsyncClient(
            base_url=self.base,
            headers=headers,
            params=params,
            verify=not self.base.startswith("http://"),  # loading authorities costs 20 ms
            trust_env=False,
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        wait: float = 0.0,
    ) -> Any:
        """The decoded answer; {} for an empty one, None where the server answers 404 to a GET or DELETE.

        `wait` is how many seconds the server may hold the answer back. Raises PluginError.
        """
        try:
            answer = await self._client.request(
                method, path, json=body, params=params, timeout=httpx.Timeout(TIMEOUT, read=TIMEOUT + wait)
            )
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            message = f"{self.server} at {self.base} does not answer ({reason}): check {self.setting}"
            raise PluginError(message) from error
        if answer.status_code == HTTPStatus.NOT_FOUND and method in ("GET", "DELETE"):
            return None
        if answer.is_error:
            raise PluginError(f"{self.server}: {method} {path}: {answer.status_code}: {_message(answer)}")
        return _decoded(answer)


def _decoded(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return {}


def _message(answer: httpx.Response) -> str:
    """Vault answers {"errors": […]}, Nomad and Consul plain text."""
    body = _decoded(answer)
    if isinstance(body, dict) and body.get("errors"):
        return "; ".join(str(error).strip() for error in body["errors"])
    return answer.text.strip() or answer.reason_phrase

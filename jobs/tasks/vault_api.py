"""Vault's HTTP API, with the token that Nomad gave the task."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 10


class VaultError(Exception):
    """Vault did not do what it was asked; the message says what, where and why.

    `status` is the HTTP code, None if there was no answer; `answer` what came with it.
    """

    def __init__(self, message: str, status: int | None = None, answer: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer


class Vault:
    """One server and one token."""

    def __init__(self, address: str, token: str | None, tls: ssl.SSLContext | None = None) -> None:
        self._address, self._token, self._tls = address.rstrip("/"), token, tls
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
        )

    @classmethod
    def of_task(cls, environment: Mapping[str, str]) -> "Vault":
        """Take address and CA file from the environment, and the token from Nomad's file: it may be new."""
        token = Path(environment["NOMAD_SECRETS_DIR"], "vault_token").read_text().strip()
        tls = ssl.create_default_context(cafile=environment.get("VAULT_CACERT"))
        return cls(environment["VAULT_ADDR"], token, tls)

    def with_token(self, token: str | None) -> "Vault":
        """Give the same server with another token."""
        return Vault(self._address, token, self._tls)

    def get(self, path: str) -> Any:
        """Read a path's JSON. Raises VaultError."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Write JSON to a path and give the JSON that comes back. Raises VaultError."""
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        headers = {"X-Vault-Request": "true", "Content-Type": "application/json"}
        if self._token:
            headers["X-Vault-Token"] = self._token
        url = f"{self._address}/v1/{path}"
        request = urllib.request.Request(url, data=body, headers=headers, method=method)  # noqa: S310 - http(s)
        what = f"Vault at {self._address}: {method} {path}"
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            answer = _json(error.read())
            reason = "; ".join(answer.get("errors") or ()) or error.reason
            raise VaultError(f"{what} answered {error.code}: {reason}", error.code, answer) from None
        except urllib.error.URLError as error:
            raise VaultError(f"{what} failed: {_words(error.reason)}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:  # cut off, or no JSON
            raise VaultError(f"{what} failed: {error}") from None


def _words(reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "its certificate is not trusted here; set vault:caCertFile in the stack and deploy again"
    return str(reason)


def _json(text: bytes) -> Any:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}

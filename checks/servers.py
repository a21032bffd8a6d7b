"""Clients of the three servers' HTTP APIs."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from checks.errors import AnswerError, CheckError
from checks.proxies import EnvironmentTransport, proxy_for
from config.providers import Endpoint, Providers

# Seconds. A server on the same network that needs longer is as good as down.
_TIMEOUT = httpx.Timeout(10, connect=3)
_REASON_LENGTH = 500  # characters of a server's own message that are worth reading


@dataclass(frozen=True, kw_only=True)
class _Api:
    """How a server takes its token, and the settings to name when it refuses one."""

    token_header: str
    token_setting: str
    ca_setting: str


_APIS = {
    "Nomad": _Api(token_header="X-Nomad-Token", token_setting="nomad:secretId", ca_setting="nomad:caFile"),  # noqa: S106
    "Consul": _Api(token_header="X-Consul-Token", token_setting="consul:token", ca_setting="consul:caFile"),  # noqa: S106
    "Vault": _Api(token_header="X-Vault-Token", token_setting="vault:token", ca_setting="vault:caCertFile"),  # noqa: S106
}


class Server:
    """One server's HTTP API, asked with the stack's token; every failure is a CheckError."""

    def __init__(
        self, endpoint: Endpoint, token: str | None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.name, self.address, self.setting = endpoint.name, endpoint.address, endpoint.setting
        self.has_token = bool(token)
        self._api = _APIS[endpoint.name]
        self._http = httpx.Client(
            base_url=endpoint.address,
            headers={self._api.token_header: token} if token else {},
            timeout=_TIMEOUT,
            transport=transport or EnvironmentTransport(verify=_tls(endpoint)),
        )

    @property
    def token_setting(self) -> str:
        """The setting that holds the token."""
        return self._api.token_setting

    def get(self, path: str, **parameters: str | int) -> Any:
        """Get a path's JSON."""
        return self._json("GET", path, self._send("GET", path, params=parameters))

    def post(self, path: str, body: object, **parameters: str) -> Any:
        """Post JSON to a path and give the JSON that comes back."""
        return self._json("POST", path, self._send("POST", path, params=parameters, json=body))

    def delete(self, path: str, **parameters: str) -> None:
        """Delete what is at a path."""
        self._send("DELETE", path, params=parameters)

    def text(self, path: str, /, **parameters: str | int) -> str:
        """Get a path's plain text."""
        return self._send("GET", path, params=parameters).text

    def clock(self) -> float:
        """Read the server's clock: Unix time in whole seconds (HTTP: Date)."""
        path = "/v1/sys/health?standbycode=200&sealedcode=200&uninitcode=200&performancestandbycode=200"
        response = self._send("GET", path if self.name == "Vault" else "/v1/status/leader")
        return parsedate_to_datetime(response.headers["Date"]).timestamp()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise CheckError(self._unreachable(error)) from None
        if response.is_success:
            return response
        reason = _reason(response)
        message = f"{self.name} at {self.address}: {method} {path} answered {response.status_code}: {reason}"
        if response.status_code in (401, 403):
            message += f" (check {self.token_setting})"
        raise AnswerError(message, status=response.status_code, reason=reason)

    def _json(self, method: str, path: str, response: httpx.Response) -> Any:
        if response.status_code == 204:
            return None
        try:
            return response.json()
        except ValueError:
            message = f"{self.name} at {self.address}: {method} {path} answered no JSON: check {self.setting}"
            raise CheckError(message) from None

    def _unreachable(self, error: httpx.TransportError) -> str:
        where = f"{self.name} at {self.address}"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return f"{where} shows a certificate that is not trusted: set {self._api.ca_setting}"
        if isinstance(error, httpx.TimeoutException):
            reason = "timed out"
        else:
            reason = str(error).rsplit("] ", 1)[-1].lower()  # "[Errno 111] Connection refused"
        if proxy_for(httpx.URL(self.address), os.environ):
            reason += f", by the proxy in {httpx.URL(self.address).scheme.upper()}_PROXY"
        return f"{where} does not answer ({reason}): start it, or set {self.setting}"


class Servers:
    """Nomad, Consul and Vault of a stack; to be used in a `with` statement."""

    def __init__(self, providers: Providers, transport: httpx.BaseTransport | None = None) -> None:
        self.nomad = Server(providers.nomad, providers.nomad.token, transport)
        self.consul = Server(providers.consul, providers.consul.token, transport)
        self.vault = Server(providers.vault, providers.vault.token or stored_vault_token(), transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in (self.nomad, self.consul, self.vault):
            server.close()


def stored_vault_token() -> str | None:
    """Read the token that `vault login` left, as the Vault provider does."""
    try:
        return (Path.home() / ".vault-token").read_text().strip() or None
    except OSError:
        return None


def _tls(endpoint: Endpoint) -> ssl.SSLContext | bool:
    if endpoint.address.startswith("http://"):
        return False  # nothing to verify; loading the system's authorities costs 20 ms
    try:
        # The system's authorities, as the providers use them; httpx brings its own list.
        context = ssl.create_default_context(cafile=endpoint.ca_file)
        if endpoint.cert_file:
            context.load_cert_chain(endpoint.cert_file, endpoint.key_file)
    except OSError as error:
        files = ", ".join(filter(None, (endpoint.ca_file, endpoint.cert_file, endpoint.key_file)))
        raise CheckError(f"{endpoint.name}: cannot use {files}: {error.strerror or error}") from None
    if endpoint.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(response: httpx.Response) -> str:
    """Find the server's own words: Vault's are JSON, Nomad's and Consul's plain text."""
    try:
        body = response.json()
    except ValueError:
        body = response.text
    if isinstance(body, Mapping) and body.get("errors"):
        body = "; ".join(str(error) for error in body["errors"])
    words = " ".join(str(body).split()) or response.reason_phrase
    return words[:_REASON_LENGTH]

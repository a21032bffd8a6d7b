"""A check in Consul that keeps what it was told: a service with a TTL (Consul API: Agent, Check)."""

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 10
_LONGEST = 2000  # characters; Consul cuts an output at 4 KB
_REPORTED = "reported"  # metadata of the service: when it was told, Unix time in whole seconds


class ConsulError(Exception):
    """Consul did not take the report; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a check was last told; it is critical too if that was too long ago."""

    at: int | None  # Unix time in seconds; None for one that an older version of this told
    passed: bool


@dataclass(frozen=True, kw_only=True)
class ConsulCheck:
    """The service of this name, and how long a report holds: after that it counts as critical."""

    address: str
    ca_file: str | None
    token: str | None
    service: str
    hours: int
    timeout: float = TIMEOUT_SECONDS

    @classmethod
    def of_task(cls, environment: Mapping[str, str], token: str | None) -> "ConsulCheck":
        """Take all but the token from the environment."""
        return cls(
            address=environment["CONSUL_ADDRESS"],
            ca_file=environment.get("CONSUL_CACERT"),
            token=token,
            service=environment["CHECK"],
            hours=int(environment["CHECK_HOURS"]),
        )

    def report(self, *, passed: bool, output: str) -> None:
        """Tell Consul's agent how it went. Raises ConsulError."""
        check = {"Name": self.service, "TTL": f"{self.hours}h"}
        tags = ["traefik.enable=false"]  # Traefik routes a service without tags too, by its name
        meta = {_REPORTED: str(int(time.time()))}
        service = {"Name": self.service, "Tags": tags, "Meta": meta, "Check": check}
        self._ask("PUT", "agent/service/register", service)
        told = {"Status": "passing" if passed else "critical", "Output": output[:_LONGEST]}
        self._ask("PUT", f"agent/check/update/service:{self.service}", told)

    def last(self) -> Report | None:
        """Give what the check was last told; None if that never happened. Raises ConsulError."""
        found = self._ask("GET", f"health/service/{self.service}", None)
        if not found:
            return None
        at = (found[0]["Service"]["Meta"] or {}).get(_REPORTED)
        own = [each["Status"] for each in found[0]["Checks"] if each["ServiceName"] == self.service]
        return Report(at=int(at) if at else None, passed=own == ["passing"])

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None) -> Any:
        url, what = f"{self.address}/v1/{path}", f"Consul at {self.address}: {method} {path}"
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["X-Consul-Token"] = self.token
        tls = ssl.create_default_context(cafile=self.ca_file)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
        )
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - http(s)
        try:
            with opener.open(request, timeout=self.timeout) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            reason = " ".join(error.read().decode(errors="replace").split())[:300]
            raise ConsulError(f"{what} answered {error.code}: {reason}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:  # cut off, or no JSON
            raise ConsulError(f"{what} failed: {_words(getattr(error, 'reason', error))}") from None


def _words(reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "its certificate is not trusted here; set consul:caFile in the stack and deploy again"
    return str(reason)

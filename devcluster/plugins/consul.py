"""Local stand-in for the consul plugin: two kinds of config entries."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from devcluster.plugins.api import Api
from devcluster.plugins.consul_defaults import ServiceDefaults
from devcluster.plugins.consul_intentions import ServiceIntentions
from devcluster.plugins.provider import LocalProvider
from devcluster.plugins.resource import Resource


class Consul(LocalProvider):
    """The settings that a homelab uses; the rest of the published plugin's are refused."""

    name = "consul"
    settings: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "address": ("CONSUL_HTTP_ADDR",),
        "scheme": ("CONSUL_SCHEME",),
        "token": ("CONSUL_HTTP_TOKEN",),
        "datacenter": ("CONSUL_DATACENTER",),
    }
    required = ("address",)

    def resources(self, settings: Mapping[str, Any]) -> Sequence[Resource]:
        """`address` is host:port, or a URL as CONSUL_HTTP_ADDR allows."""
        address = settings.get("address", "")
        base = address if "://" in address else f"{settings.get('scheme', 'http')}://{address}"
        headers = {"X-Consul-Token": settings["token"]} if settings.get("token") else {}
        params = {"dc": settings["datacenter"]} if settings.get("datacenter") else {}
        api = Api("Consul", base, "the setting consul:address", headers, params)
        return [ServiceDefaults(api), ServiceIntentions(api)]


PROVIDER = Consul

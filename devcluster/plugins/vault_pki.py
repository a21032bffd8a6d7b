"""A root CA and the roles that issue from it (Vault API: PKI secrets engine)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pulumi.provider.experimental.provider import PropertyDiffKind
from pulumi_vault import pkisecret

from devcluster.plugins.errors import PluginError
from devcluster.plugins.resource import Call, Change
from devcluster.plugins.values import Plain
from devcluster.plugins.vault_mount import mount_at
from devcluster.plugins.vault_resource import Endpoint, Fields

_MADE = ("certificate", "issuing_ca", "serial_number", "issuer_id", "key_id")


class RootCert(Fields):
    """A self-signed CA, made in Vault; a change makes another beside it and then deletes this one.

    As published: `ttl`, `notAfter` and `signatureBits` act on a new one only, and import is not supported.
    """

    type_name = "vault:pkiSecret/secretBackendRootCert:SecretBackendRootCert"
    args = pkisecret.SecretBackendRootCertArgs
    outputs = ("certificate", "issuingCa", "serialNumber", "issuerId", "keyId")
    defaults: ClassVar[Mapping[str, Any]] = {
        "format": "pem",
        "privateKeyFormat": "der",
        "keyType": "rsa",
        "keyBits": 2048,
        "maxPathLength": -1,
    }
    computed = frozenset({"issuerName", "keyName", "signatureBits"})
    renamed: ClassVar[Mapping[str, str]] = {"keyUsages": "key_usage"}
    absent = frozenset(
        {
            "namespace",
            "jksPassword",
            "jksPrivateKeyAlias",
            "keyRef",
            "managedKeyId",
            "managedKeyName",
            "notBeforeDuration",
            "parameterSet",
            "pkcs12Encoder",
            "pkcs12Password",
        }
    )
    elsewhere = frozenset({"backend", "type"})
    replacing = frozenset(
        {
            "backend",
            "type",
            "commonName",
            "altNames",
            "ipSans",
            "uriSans",
            "otherSans",
            "format",
            "privateKeyFormat",
            "keyType",
            "keyBits",
            "maxPathLength",
            "excludeCnFromSans",
            "permittedDnsDomains",
            "excludedDnsDomains",
            "permittedIpRanges",
            "excludedIpRanges",
            "permittedEmailAddresses",
            "excludedEmailAddresses",
            "permittedUriDomains",
            "excludedUriDomains",
            "ou",
            "organization",
            "country",
            "locality",
            "province",
            "streetAddress",
            "postalCode",
            "issuerName",
            "keyName",
            "usePss",
            "keyUsages",
        }
    )

    async def changes(self, old: Plain, new: Plain) -> list[Change]:
        """One whose issuer is gone from the mount is made again, also without a refresh."""
        found = await super().changes(old, new)
        if await self._issuer_is_gone(old):
            found.append(Change("issuerId", PropertyDiffKind.UPDATE, replaces=True))
        return found

    async def _issuer_is_gone(self, old: Plain) -> bool:
        try:
            await self._api.call("GET", f"/v1/{old['backend']}/issuer/{old['issuerId']}/pem")
        except PluginError as error:
            if "unable to find PKI issuer" in str(error):
                return True
            raise
        return False

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Vault takes lists as text with commas here, but for `keyUsages`."""
        backend = new["backend"].strip("/")
        body = {
            key: ",".join(value) if isinstance(value, list) and key != "key_usage" else value
            for key, value in self._body({}, new).items()
        }
        path = f"/v1/{backend}/issuers/generate/root/{new['type']}"
        made = (await self._api.call("POST", path, body=body))["data"]
        outputs = {name: made[field] for name, field in zip(self.outputs, _MADE, strict=True)}
        return f"{backend}/issuer/{made['issuer_id']}", outputs

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """A certificate never changes, so all that can be seen is whether its mount is there."""
        if not old:
            raise PluginError(f"{resource_id}: {self.type_name} cannot be imported: make a new one")
        mount = await mount_at(self._api, old["backend"])
        return None if mount is None else (resource_id, old)

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Only the state: what is signed stays as it is."""
        return {key: old[key] for key in self.outputs if key in old}

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Deletes the issuer; its key stays in the mount, and a default issuer has no successor."""
        await self._delete_at(f"/v1/{resource_id}")


class PkiRole(Endpoint):
    """What may be issued, and how long it holds; as published, a refresh shows `ttl` in seconds."""

    type_name = "vault:pkiSecret/secretBackendRole:SecretBackendRole"
    args = pkisecret.SecretBackendRoleArgs
    autonamed = True
    id_form = path_form = "{backend}/roles/{name}"
    outputs = ("issuerRef", "keyUsages", "maxTtl", "ttl")
    computed = frozenset({"cnValidations", "issuerRef", "keyUsages", "maxTtl", "signatureBits", "ttl"})
    defaults: ClassVar[Mapping[str, Any]] = {
        "allowIpSans": True,
        "allowLocalhost": True,
        "allowWildcardCertificates": True,
        "clientFlag": True,
        "enforceHostnames": True,
        "keyBits": 2048,
        "keyType": "rsa",
        "requireCn": True,
        "serverFlag": True,
        "useCsrCommonName": True,
        "useCsrSans": True,
    }
    replacing = frozenset({"backend", "name"})
    renamed: ClassVar[Mapping[str, str]] = {
        "countries": "country",
        "extKeyUsages": "ext_key_usage",
        "keyUsages": "key_usage",
        "localities": "locality",
        "organizationUnit": "ou",
        "organizations": "organization",
        "postalCodes": "postal_code",
        "provinces": "province",
        "streetAddresses": "street_address",
    }
    absent = frozenset(
        {
            "namespace",
            "noStoreMetadata",
            "notBeforeDuration",
            "parameterSet",
            "policyIdentifier",
            "serialNumberSource",
        }
    )
    elsewhere = frozenset({"backend", "name"})

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Deletes it."""
        await self._delete_at(self._path(resource_id))

    def _decoded(self, properties: Plain) -> Plain:
        """A perpetual change unless the program writes seconds too: "2592000", not "720h"."""
        return {**properties, **{key: str(properties[key]) for key in ("ttl", "maxTtl") if key in properties}}

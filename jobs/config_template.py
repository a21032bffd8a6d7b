"""The registry's config.yml and htpasswd as Nomad templates: secrets are read from Vault when they render."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from config import registry as registry_model
from jobs.tasks.freeze_record import ALLOCATION, FREEZE_HEADER, MODE_HEADER, READ_ONLY, READ_WRITE


def config_template(
    config: Mapping[str, Any],
    http_path: str | None = None,
    config_path: str | None = None,
    freeze_path: str | None = None,
    upstream_path: str | None = None,
) -> str:
    """Render config.yml as a template.

    http.secret and every secret that the stack put into `registry.config` become look-ups in Vault, at the
    KV v2 API paths `http_path` and `config_path`; user and password of section `proxy` at `upstream_path`.
    `freeze_path` is the Nomad variable that makes the registry read-only while its item `mode` says so;
    without the variable it takes pushes.
    """
    lookups = _Lookups.beside(json.dumps(config, default=str))

    def hide(value: Any, path: tuple[str | int, ...]) -> Any:
        if path in secrets and config_path:
            return lookups.of_vault(config_path, registry_model.secret_key(path))
        if isinstance(value, Mapping):
            return {key: hide(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [hide(inner, (*path, index)) for index, inner in enumerate(value)]
        return value

    secrets = set(registry_model.secret_paths(config))
    hidden = hide(config, ())
    if http_path:
        hidden["http"]["secret"] = lookups.of_vault(http_path, "secret")
    if upstream_path:
        for key in ("username", "password"):
            hidden["proxy"][key] = lookups.of_vault(upstream_path, key)
    mode = _mode(hidden, freeze_path, lookups) if freeze_path else ""
    return mode + lookups.put_into(literal(registry_model.render(hidden)))


@dataclass(frozen=True, kw_only=True)
class _Lookups:
    """What is looked up when the template renders, and the words that stand for it in plain data."""

    word: str  # no text of the user's has it
    by_placeholder: dict[str, str] = field(default_factory=dict)

    @classmethod
    def beside(cls, text: str) -> "_Lookups":
        word = "lookup"
        while word in text:
            word += "-more"
        return cls(word=word)

    def add(self, lookup: str) -> str:
        placeholder = f"{self.word}-{len(self.by_placeholder)}-"
        self.by_placeholder[placeholder] = lookup
        return placeholder

    def of_vault(self, path: str, key: str) -> str:
        # toJSON quotes the value, and JSON is YAML: a secret with quotes or colons stays one text.
        return self.add(
            f'{{{{ with secret "{path}" }}}}{{{{ index .Data.data "{key}" | toJSON }}}}{{{{ end }}}}'
        )

    def put_into(self, text: str) -> str:
        return re.sub(rf"{self.word}-\d+-", lambda found: self.by_placeholder[found[0]], text)


def _mode(config: dict[str, Any], path: str, lookups: _Lookups) -> str:
    """Let the variable at `path` decide the mode, which every answer tells; give the line before the rest.

    An answer also tells the allocation that froze it, so that this one knows its own freeze from another's.
    """
    # Always written: with a Redis, 3.x would show its whole configuration at the metrics port, but cannot as
    # soon as a section is this deep (docs/decisions/0014-redis-for-several-instances.md).
    readonly = config["storage"].setdefault("maintenance", {}).setdefault("readonly", {})
    always = bool(readonly.get("enabled"))  # the stack says so itself
    # An owner that is no allocation is a person, whom no answer names.
    owner = (
        f"{{{{ if regexMatch `^{ALLOCATION}$` (print .owner) }}}}"
        "{{ $freeze = printf `[%s]` (print .owner | toJSON) }}{{ end }}"
    )
    # The name is looked for first: a look-up of a variable that is not there would wait for it.
    found = (
        f'{{{{ if nomadVarExists "{path}" }}}}{{{{ with nomadVar "{path}" }}}}'
        f'{{{{ if eq (print .mode) "{READ_ONLY}" }}}}{{{{ $mode = "{READ_ONLY}" }}}}{owner}'
        "{{ end }}{{ end }}{{ end }}"
    )
    readonly["enabled"] = lookups.add(f'{{{{ eq $mode "{READ_ONLY}" }}}}')
    if config["storage"].get("cache", {}).get("blobdescriptor") == "redis":
        # What a collection removes meanwhile would stay known to Redis; without a kind there is no cache.
        config["storage"]["cache"]["blobdescriptor"] = lookups.add(
            f'{{{{ if eq $mode "{READ_WRITE}" }}}}redis{{{{ else }}}}""{{{{ end }}}}'
        )
    headers = config["http"].setdefault("headers", {})
    headers[MODE_HEADER] = [lookups.add("{{ $mode }}")]
    headers[FREEZE_HEADER] = lookups.add(
        "{{ $freeze }}"
    )  # a list; of an empty one the registry sends nothing
    default = READ_ONLY if always else READ_WRITE
    start = f'{{{{ $mode := "{default}" }}}}{{{{ $freeze := `[]` }}}}'
    return f"# Read-only while Nomad variable {path} says so.{start}{found}\n"


def literal(text: str) -> str:
    """Escape text of the user's that looks like a template, so that it reaches the registry as it is."""
    return text.replace("{{", '{{"{{"}}')


def certificate_template(issue_path: str, common_name: str, ttl: str, other_name: str | None = None) -> str:
    """Render a certificate, its authority's and its private key as one PEM file.

    One template, because each look-up of its own would make a key of its own. consul-template asks
    `issue_path` of a PKI engine again at nine tenths of the certificate's life.
    """
    other = f' "alt_names={other_name}"' if other_name else ""
    return (
        f'{{{{ with pkiCert "{issue_path}" "common_name={common_name}"{other} "ttl={ttl}" }}}}'
        "{{ .Data.Cert }}\n{{ .Data.CA }}\n{{ .Data.Key }}\n{{ end }}"
    )


def htpasswd_template(users_path: str) -> str:
    """Render an htpasswd file from the secret that has it as one text (components/vault_access.py)."""
    return f'{{{{ with secret "{users_path}" }}}}{{{{ .Data.data.htpasswd }}}}{{{{ end }}}}'

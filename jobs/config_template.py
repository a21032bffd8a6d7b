"""The registry's config.yml and htpasswd as Nomad templates: secrets are read from Vault when they render."""

from collections.abc import Mapping, Sequence
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
    lookups: dict[str, str] = {}

    def hide(value: Any, path: tuple[str | int, ...]) -> Any:
        if path in secrets and config_path:
            return _placeholder(lookups, config_path, registry_model.dotted(path))
        if isinstance(value, Mapping):
            return {key: hide(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [hide(inner, (*path, index)) for index, inner in enumerate(value)]
        return value

    secrets = set(registry_model.secret_paths(config))
    hidden = hide(config, ())
    if http_path:
        hidden["http"]["secret"] = _placeholder(lookups, http_path, "secret")
    if upstream_path:
        for key in ("username", "password"):
            hidden["proxy"][key] = _placeholder(lookups, upstream_path, key)
    mode = _mode(hidden, freeze_path, lookups) if freeze_path else ""
    text = literal(registry_model.render(hidden))
    for placeholder, lookup in lookups.items():
        text = text.replace(placeholder, lookup)
    return mode + text


def _mode(config: dict[str, Any], path: str, lookups: dict[str, str]) -> str:
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
    lookups["freeze-enabled-"] = f'{{{{ eq $mode "{READ_ONLY}" }}}}'
    lookups["freeze-mode-"] = "{{ $mode }}"
    lookups["freeze-owner-"] = "{{ $freeze }}"
    readonly["enabled"] = "freeze-enabled-"
    if config["storage"].get("cache", {}).get("blobdescriptor") == "redis":
        # What a collection removes meanwhile would stay known to Redis; without a kind there is no cache.
        lookups["freeze-cache-"] = f'{{{{ if eq $mode "{READ_WRITE}" }}}}redis{{{{ else }}}}""{{{{ end }}}}'
        config["storage"]["cache"]["blobdescriptor"] = "freeze-cache-"
    headers = config["http"].setdefault("headers", {})
    headers[MODE_HEADER] = ["freeze-mode-"]
    headers[FREEZE_HEADER] = "freeze-owner-"  # a list; of an empty one the registry sends nothing
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


def _placeholder(lookups: dict[str, str], path: str, key: str) -> str:
    placeholder = f"vault-lookup-{len(lookups)}-"
    # toJSON quotes the value, and JSON is YAML: a secret with quotes or colons stays one text.
    lookups[placeholder] = (
        f'{{{{ with secret "{path}" }}}}{{{{ index .Data.data "{key}" | toJSON }}}}{{{{ end }}}}'
    )
    return placeholder

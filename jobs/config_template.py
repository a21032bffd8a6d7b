"""The registry's config.yml and htpasswd as Nomad templates: secrets are read from Vault when they render."""

from collections.abc import Mapping, Sequence
from typing import Any

from config import registry as registry_model


def config_template(config: Mapping[str, Any], http_path: str, config_path: str | None) -> str:
    """Render config.yml as a template.

    http.secret and every secret that the stack put into `registry.config` become look-ups in Vault, at the
    KV v2 API paths `http_path` and `config_path`.
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
    hidden["http"]["secret"] = _placeholder(lookups, http_path, "secret")
    # Text of the user's that looks like a template must reach the registry as it is.
    text = registry_model.render(hidden).replace("{{", '{{"{{"}}')
    for placeholder, lookup in lookups.items():
        text = text.replace(placeholder, lookup)
    return text


def htpasswd_template(users_path: str) -> str:
    """Render an htpasswd file from the secret that maps each user to a bcrypt hash."""
    return (
        f'{{{{ with secret "{users_path}" }}}}'
        "{{ range $user, $hash := .Data.data }}{{ $user }}:{{ $hash }}\n{{ end }}"
        "{{ end }}"
    )


def _placeholder(lookups: dict[str, str], path: str, key: str) -> str:
    placeholder = f"vault-lookup-{len(lookups)}-"
    # toJSON quotes the value, and JSON is YAML: a secret with quotes or colons stays one text.
    lookups[placeholder] = (
        f'{{{{ with secret "{path}" }}}}{{{{ index .Data.data "{key}" | toJSON }}}}{{{{ end }}}}'
    )
    return placeholder

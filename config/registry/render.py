"""config.yml as text."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

# Go's YAML reader takes more plain scalars for numbers and booleans (1e3, 0o7, y) than PyYAML knows to quote.
_PLAIN = re.compile(r"/?[A-Za-z][\w./-]+")

_OTHER_BREAKS = frozenset("\x85\u2028\u2029")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if _PLAIN.fullmatch(text) else "|" if "\n" in text else "'"
    if _OTHER_BREAKS & set(text):
        style = '"'  # escaped: Go's reader takes them for the end of a line
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def render(config: Mapping[str, Any]) -> str:
    """YAML in the given order of keys, `version` first; every value that is not a plain word in quotes."""
    ordered = {"version": config["version"], **config}
    return yaml.dump(
        ordered, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=2**31
    )

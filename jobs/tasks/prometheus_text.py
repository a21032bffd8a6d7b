"""Prometheus's text format, version 0.0.4 ("Exposition formats"): gauges only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Sample:
    """One value now, and the labels that tell it from the others of its name."""

    name: str
    value: float
    labels: Mapping[str, str]


def render(samples: Iterable[Sample], helps: Mapping[str, str]) -> str:
    """Write the samples, those of one name together, below its text in `helps`."""
    found = list(samples)
    lines = []
    for name, text in helps.items():
        own = [each for each in found if each.name == name]
        if own:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(each.labels)} {each.value:.17g}" for each in own]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

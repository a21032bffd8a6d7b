"""A dashboard as typed data that renders to Grafana's JSON (Grafana: Dashboard JSON model, schema 39)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

_COLUMNS, _HEIGHT = 24, 8
_SOURCES = {"prometheus": "${datasource}", "loki": "${loki}"}


@dataclass(frozen=True)
class Query:
    """An expression, and what its series are called: `{{label}}` stands for a label's value."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A graph, a number, or lines of a log."""

    title: str
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat", "logs"] = "timeseries"
    source: Literal["prometheus", "loki"] = "prometheus"
    unit: str = "short"  # Grafana's id of it
    width: int = 8  # of 24
    bad_below: float | None = None
    bad_above: float | None = None
    words: Mapping[int, str] | None = None  # in place of numbers
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Panels below one heading."""

    title: str
    panels: tuple[Panel, ...]


def grafana(title: str, uid: str, job: str, rows: tuple[Row, ...]) -> dict[str, Any]:
    """Make the dashboard; `job` is chosen at first."""
    return {
        "title": title,
        "uid": uid,
        "schemaVersion": 39,
        "tags": ["docker-registry"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "templating": {"list": list(_variables(job))},
        "panels": list(_panels(rows)),
    }


def _variables(job: str) -> Iterator[dict[str, Any]]:
    for name, plugin, label in (("datasource", "prometheus", "Prometheus"), ("loki", "loki", "Loki")):
        yield {"name": name, "type": "datasource", "query": plugin, "label": label}
    yield {
        "name": "job",
        "type": "query",
        "label": "Registry",
        "datasource": {"type": "prometheus", "uid": _SOURCES["prometheus"]},
        # The registry asks its own storage for its health, so this is there without any request.
        "query": "label_values(registry_storage_action_seconds_count, job)",
        "regex": "/^(?!.*-mirrors$).+$/",
        "refresh": 2,
        "current": {"text": job, "value": job},
    }


def _panels(rows: tuple[Row, ...]) -> Iterator[dict[str, Any]]:
    number, top = 1, 0
    for row in rows:
        place = {"h": 1, "w": _COLUMNS, "x": 0, "y": top}
        yield {"id": number, "type": "row", "title": row.title, "gridPos": place, "panels": []}
        number, top, left = number + 1, top + 1, 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                top, left = top + _HEIGHT, 0
            place = {"h": _HEIGHT, "w": panel.width, "x": left, "y": top}
            yield {"id": number, "gridPos": place, **_panel(panel)}
            number, left = number + 1, left + panel.width
        top += _HEIGHT


def _panel(panel: Panel) -> dict[str, Any]:
    source = {"type": panel.source, "uid": _SOURCES[panel.source]}
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": _steps(panel)},
    }
    if panel.words:
        options = {str(value): {"text": text} for value, text in panel.words.items()}
        defaults["mappings"] = [{"type": "value", "options": options}]
    if panel.kind == "timeseries":
        defaults["custom"] = {"fillOpacity": 10, "showPoints": "never"}
    made: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query.expr, "legendFormat": query.legend}
            for place, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }
    if panel.kind == "stat":
        made["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background"}
    return made


def _steps(panel: Panel) -> list[dict[str, Any]]:
    """Colour what is bad."""
    if panel.bad_below is not None:
        return [{"color": "red", "value": None}, {"color": "green", "value": panel.bad_below}]
    if panel.bad_above is not None:
        return [{"color": "green", "value": None}, {"color": "red", "value": panel.bad_above}]
    return [{"color": "blue" if panel.kind == "stat" else "green", "value": None}]

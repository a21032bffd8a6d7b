"""The files of a stack for Prometheus, Grafana and a log collector."""

import json
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import yaml

from config.settings import Settings
from monitoring.dashboard import grafana
from monitoring.panels import ROWS

SCRAPE, RULES, DASHBOARD = "prometheus-scrape.yml", "prometheus-rules.yml", "grafana-dashboard.json"
_FOLDER = Path(__file__).parent
# Files of this folder, by what they are called when the stack's job is in them.
_TEXTS = {RULES: "rules.yml", "promtail.yml": "promtail.yml", "config.alloy": "config.alloy"}


class _Text(Template):
    """`@{job}` is a place to fill: `$` belongs to Prometheus's templates."""

    delimiter = "@"


def monitoring_files(settings: Settings) -> dict[str, str]:
    """Make the files, by name. There is no secret in them."""
    job = settings.registry.name
    dashboard = grafana(f"Docker registry {job}", job, job, ROWS)
    return {
        SCRAPE: yaml.safe_dump({"scrape_configs": list(_scrapes(settings))}, sort_keys=False),
        DASHBOARD: json.dumps(dashboard, indent=2) + "\n",
        **{name: filled(file, settings) for name, file in _TEXTS.items()},
    }


def filled(file: str, settings: Settings) -> str:
    """Read a file of this folder with the stack's job and mirrors in it."""
    job = settings.registry.name
    # Consul forgets a mirror that does not run, and then there is nothing that Prometheus could not reach.
    gone = [f' or absent(up{{job="{job}-mirrors", mirror="{each.name}"}})' for each in settings.mirrors.root]
    return _Text((_FOLDER / file).read_text()).substitute(job=job, or_mirror_gone="".join(gone))


def _scrapes(settings: Settings) -> Iterator[dict[str, Any]]:
    job, service = settings.registry.name, settings.registry.service
    yield _scrape(settings, job, f"{service}-metrics")
    if settings.monitoring:
        yield _scrape(settings, settings.exporter_job, settings.exporter_service)
    # One service for all mirrors, each with its name as a tag. Their ports change with each start.
    mirrors = _scrape(settings, f"{job}-mirrors", settings.mirrors_metrics_service)
    yield {**mirrors, "relabel_configs": [_from_tag("mirror", label) for label in ("mirror", "instance")]}


def _from_tag(tag: str, label: str) -> dict[str, Any]:
    """Take the value of a service's tag `tag=value`: Prometheus gives all tags in one text, with commas."""
    return {
        "source_labels": ["__meta_consul_tags"],
        "regex": f".*,{tag}=([^,]+),.*",
        "target_label": label,
    }


def _scrape(settings: Settings, job: str, service: str) -> dict[str, Any]:
    """Find the service in Consul, as it moves (Prometheus: consul_sd_config)."""
    consul, monitoring = settings.providers.consul, settings.monitoring
    scheme, _, server = consul.address.partition("://")
    found: dict[str, Any] = {"server": server, "scheme": scheme, "services": [service]}
    if monitoring and monitoring.consul_token_file:
        # Consul takes its token as a bearer's too.
        found["authorization"] = {"credentials_file": str(monitoring.consul_token_file)}
    if consul.ca_file:
        found["tls_config"] = {"ca_file": consul.ca_file}
    return {"job_name": job, "scrape_interval": "30s", "consul_sd_configs": [found]}

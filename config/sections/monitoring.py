"""Section `monitoring`: what lets Prometheus, Grafana and a log collector watch the registry."""

from pydantic import Field

from config.sections.base import AbsolutePath, Port, Section


class Monitoring(Section):
    """An exporter of what the registry has no metric for, and the files for Prometheus and Grafana."""

    port: Port = Field(5002, description="Host port of the exporter; Traefik never routes it.")
    consul_token_file: AbsolutePath | None = Field(
        None,
        description="File on Prometheus's machine with a token for Consul, if Consul asks for one.",
    )
    directory: AbsolutePath | None = Field(
        None,
        description="Directory on the machine that runs `pulumi`, where `pulumi up` keeps the files.",
    )

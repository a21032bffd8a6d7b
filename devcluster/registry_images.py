"""Stand-ins for the official images of the registry."""

import subprocess
from collections.abc import Callable

from devcluster.debian import unpack
from devcluster.libraries import add_libraries
from devcluster.programs import REGISTRY, cached, find_or_build, key
from devcluster.recipe import recipe
from devcluster.stand_in import Layer, StandIn

# What the official images' docker-entrypoint.sh does.
ENTRY_POINT = """#!/bin/sh
set -e
case "$1" in
    *.yaml|*.yml) set -- registry serve "$@" ;;
    serve|garbage-collect|help|-*) set -- registry "$@" ;;
esac
exec "$@"
"""

# What the official images carry, without the debug log level.
CONFIG = """version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""


def registry_3() -> StandIn:
    """Distribution 3.1, built from source: a static program."""

    def add_program(layer: Layer) -> None:
        layer.file("bin/registry", find_or_build(REGISTRY).read_bytes(), 0o755)

    return _registry(
        name="registry:3",
        version=REGISTRY.version,
        recipe=recipe(key(REGISTRY), __file__),
        add_program=add_program,
        config_path="/etc/distribution/config.yml",
        instructions=("ENV OTEL_TRACES_EXPORTER=none",),
    )


def registry_2() -> StandIn:
    """Debian's distribution 2.8: a dynamic program."""
    package = cached("debian-docker-registry", lambda folder: unpack("docker-registry", folder))
    program = package / "usr" / "bin" / "docker-registry"
    version = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[-1]

    def add_program(layer: Layer) -> None:
        layer.file("bin/registry", program.read_bytes(), 0o755)
        add_libraries(layer, [program])

    return _registry(
        name="registry:2",
        version=version,
        recipe=recipe(version, __file__),
        add_program=add_program,
        config_path="/etc/docker/registry/config.yml",
        instructions=(),
    )


def _registry(
    *,
    name: str,
    version: str,
    recipe: str,
    add_program: Callable[[Layer], None],
    config_path: str,
    instructions: tuple[str, ...],
) -> StandIn:
    def add_files(layer: Layer) -> None:
        layer.folder("var/lib/registry")
        layer.file("entrypoint.sh", ENTRY_POINT, 0o755)
        layer.file(config_path.removeprefix("/"), CONFIG)
        add_program(layer)

    return StandIn(
        name=name,
        version=version,
        recipe=recipe,
        add_files=add_files,
        instructions=(
            'ENTRYPOINT ["/entrypoint.sh"]',
            f'CMD ["{config_path}"]',
            "EXPOSE 5000",
            "VOLUME /var/lib/registry",
            *instructions,
        ),
    )

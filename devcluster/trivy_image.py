"""A stand-in for Trivy's own image, out of which a job takes the program: Trivy built from source."""

from devcluster.programs import TRIVY, find_or_build, key
from devcluster.recipe import recipe
from devcluster.stand_in import Layer, StandIn

NAME = f"aquasec/trivy:{TRIVY.version}"


def trivy() -> StandIn:
    """A static program, as in the real image."""

    def add_files(layer: Layer) -> None:
        layer.file("usr/local/bin/trivy", find_or_build(TRIVY).read_bytes(), 0o755)

    return StandIn(
        name=NAME,
        version=TRIVY.version,
        recipe=recipe(key(TRIVY), __file__),
        add_files=add_files,
        instructions=('ENTRYPOINT ["trivy"]',),
    )

import pytest

from jobs.tasks.freeze_held import ThawedError, require_freeze

VARIABLE = "/v1/var/nomad/jobs/docker-registry"
MINE = "11111111-1111-1111-1111-111111111111"
ENVIRONMENT = {"REGISTRY_JOB": "docker-registry", "NOMAD_ALLOC_ID": MINE}


def test_a_freeze_that_this_allocation_holds_is_good(nomad):
    nomad.set(VARIABLE, {"mode": "read-only", "owner": MINE})

    require_freeze(nomad, ENVIRONMENT)


@pytest.mark.parametrize(
    "items",
    [None, {"owner": MINE}, {"mode": "read-only", "owner": MINE.replace("1", "2")}, {"mode": "read-only"}],
    ids=["none", "ended", "of another job", "by hand"],
)
def test_any_other_is_an_error_that_says_what_may_have_happened(nomad, items):
    if items:
        nomad.set(VARIABLE, items)

    with pytest.raises(ThawedError, match=r"ended the freeze .*docker-registry may have taken pushes"):
        require_freeze(nomad, ENVIRONMENT)

import pytest

from checks.freeze import Hold
from ops.thaw import words


@pytest.mark.parametrize(
    ("lives", "told"),
    [(True, "which works"), (False, "which has ended: the next maintenance job takes it over")],
)
def test_a_freeze_is_told_with_who_holds_it(lives, told):
    hold = Hold(
        owner="11111111-2222", job="docker-registry-gc/1", since="2026-01-01", owner_lives=lives, index=7
    )

    assert words(hold).startswith(
        "read-only since 2026-01-01 for docker-registry-gc/1, allocation 11111111, " + told
    )


def test_a_freeze_by_hand_names_the_command_that_ends_it():
    hold = Hold(owner="", job="", since="", owner_lives=None, index=7)

    assert words(hold) == "read-only, by hand; `python -m ops thaw` ends it"

import pytest

from config.registry import go_duration


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("20s", 20 * 10**9),
        ("1h30m", 5400 * 10**9),
        ("1.5s", 1_500_000_000),
        ("-1ns", -1),
        ("3µs", 3000),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text, nanoseconds):
    assert go_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "5 s", "s", "1d", "1h-5m", "--1s", "10000000h"])
def test_what_go_does_not_read_is_refused(text):
    with pytest.raises(ValueError, match="duration"):
        go_duration(text)

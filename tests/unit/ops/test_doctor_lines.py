from checks.doctor.examination import Examined
from checks.doctor.finding import failure, not_looked_at, ok
from ops.doctor import lines
from ops.terminal import written

FOUND = [
    Examined(id="nomad-ready", finding=ok("Nomad 1.6.3")),
    Examined(id="takes-pushes", finding=failure("it is read-only", "python -m ops thaw\npulumi up")),
    Examined(id="volume-owner", finding=not_looked_at("it is on nas")),
]


def test_each_finding_is_a_line_with_its_fix_below_ready_to_be_copied():
    told = list(map(written, lines(FOUND)))

    assert told[0].endswith("nomad-ready   Nomad 1.6.3") and "ok" in told[0]
    assert "failure" in told[1] and told[1].endswith("takes-pushes  it is read-only")
    assert told[2:4] == ["    python -m ops thaw", "    pulumi up"]
    assert "not looked at" in told[4]


def test_the_last_line_counts_what_was_found():
    assert list(lines(FOUND))[-1] == "1 ok, 1 failure, 1 not looked at"

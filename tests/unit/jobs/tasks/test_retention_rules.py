import pytest

from jobs.tasks.retention_rules import Rule, RuleError, length
from jobs.tasks.store import Tag

DAY = 86_400
NOW = 1000 * DAY


@pytest.fixture
def leaving():
    """Ask a rule about tags, given as {name: age in days}; gives those that go, with the reasons."""

    def ask(ages, **keep):
        tags = [Tag(name, "sha256:" + 64 * "0", NOW - age * DAY) for name, age in ages.items()]
        return Rule.of({"repositories": ["*"], **keep}).leaving(tags, NOW)

    return ask


def test_tags_stay_by_their_names(leaving):
    assert leaving({"v1": 9, "latest": 9, "pr-7": 1}, keepTags=["v*", "latest"]) == {
        "pr-7": "not named like v* or latest"
    }


def test_the_newest_stay(leaving):
    assert leaving({"a": 3, "b": 1, "c": 2}, keepNewest=2) == {"a": "not among the newest 2"}


def test_of_tags_pushed_at_one_time_the_same_stay_in_every_run(leaving):
    assert leaving({"a": 1, "c": 1, "b": 1}, keepNewest=1).keys() == {"a", "b"}
    assert leaving({"b": 1, "a": 1, "c": 1}, keepNewest=1).keys() == {"a", "b"}


def test_young_tags_stay(leaving):
    assert leaving({"a": 31, "b": 29, "c": 30}, keepYoungerThan=30 * DAY) == {
        "a": "31 days old",
        "c": "30 days old",
    }


def test_of_versions_the_newest_of_each_of_the_newest_minor_lines_stay(leaving):
    tags = dict.fromkeys(["1.8.0", "1.9.0", "1.9.1", "v1.10.0", "1.10.1-rc.1", "2.0.0-rc.1", "latest"], 1)

    assert leaving(tags, keepSemver={"minors": 3, "patches": 1}) == {
        "1.8.0": "not a current version",
        "1.9.0": "not a current version",
        "v1.10.0": "not a current version",
        "latest": "no semantic version",
    }


def test_a_prerelease_counts_as_less_than_its_release(leaving):
    tags = dict.fromkeys(["1.0.0", "1.0.0-rc.2", "1.0.0-rc.1"], 1)

    assert leaving(tags, keepSemver={"minors": 1, "patches": 2}).keys() == {"1.0.0-rc.1"}


def test_two_tags_of_one_version_stay_together(leaving):
    tags = dict.fromkeys(["v1.0.1", "1.0.1", "1.0.0"], 1)

    assert leaving(tags, keepSemver={"minors": 1, "patches": 1}).keys() == {"1.0.0"}


def test_what_one_keep_keeps_stays_and_what_goes_is_told_every_reason(leaving):
    ages = {"v1": 90, "pr-1": 90, "pr-2": 40, "pr-3": 2}

    assert leaving(ages, keepTags=["v*"], keepNewest=1, keepYoungerThan=50 * DAY) == {
        "pr-1": "not named like v*; not among the newest 1; 90 days old"
    }


def test_a_pattern_of_a_repository_covers_what_is_below(leaving):
    rule = Rule.of({"repositories": ["ci/*", "app"], "keepNewest": 1})

    assert [name for name in ("ci", "ci/a", "ci/a/b", "app", "app/x") if rule.fits(name)] == [
        "ci/a",
        "ci/a/b",
        "app",
    ]


@pytest.mark.parametrize("keep", [{}, {"keepTags": [], "keepNewest": None, "keepSemver": None}])
def test_a_rule_that_keeps_nothing_is_refused(keep):
    with pytest.raises(RuleError, match=r"the rule for ci/\*, app keeps nothing: say what stays"):
        Rule.of({"repositories": ["ci/*", "app"], **keep})


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.5, "0 seconds"), (59, "59 seconds"), (60, "1 minute"), (7200, "2 hours"), (86_400 * 1.9, "1 day")],
)
def test_a_length_of_time_is_in_its_greatest_unit(seconds, words):
    assert length(seconds) == words


def test_the_newest_release_of_a_helm_chart_stays_with_the_underscore_that_helm_writes_for_a_plus(leaving):
    tags = dict.fromkeys(["1.3.0_0d3f.7", "1.2.1", "1.2.0_7", "1.3.0-rc.1_3"], 1)

    assert leaving(tags, keepSemver={"minors": 2, "patches": 1}).keys() == {"1.2.0_7", "1.3.0-rc.1_3"}

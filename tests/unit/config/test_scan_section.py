import pytest

from config.problems import SettingsError


@pytest.fixture
def scan(read_settings):
    return lambda **values: read_settings(maintenance={"scan": values}).maintenance.scan


def test_an_empty_section_scans_the_newest_tag_of_each_repository_for_all_there_is(scan):
    found = scan()

    assert (found.newest, found.scanners, found.threshold) == (1, ("vuln", "secret"), "critical")
    assert found.ignore_unfixed is False


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"schedule": "daily"}, "maintenance.scan.schedule: 'daily' is no schedule"),
        ({"newest": 0}, "maintenance.scan.newest: 0 is less than 1"),
        ({"scanners": ["virus"]}, "maintenance.scan.scanners[0]: 'virus' is not one of vuln, secret"),
        ({"scanners": []}, "maintenance.scan.scanners"),
        ({"threshold": "bad"}, "maintenance.scan.threshold: 'bad' is not one of low, medium, high, critical"),
        ({"severity": "high"}, "maintenance.scan.severity: unknown key"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_with_what_is_accepted(scan, values, words):
    with pytest.raises(SettingsError) as caught:
        scan(**values)
    assert words in str(caught.value)

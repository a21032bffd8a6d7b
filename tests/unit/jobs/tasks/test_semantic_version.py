import pytest

from jobs.tasks.semantic_version import Version


def test_versions_are_in_the_order_of_the_specification():
    # semver.org 2.0.0, item 11.
    tags = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    tags += ["1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0-rc.1", "v2.0.0"]

    versions = [Version.of(tag) for tag in tags]
    assert versions == sorted(versions)


def test_a_leading_v_makes_no_difference():
    assert Version.of("v1.2.3") == Version.of("1.2.3")


@pytest.mark.parametrize("tag", ["1.2.3_4", "v1.2.3_a.b-c", "1.2.3_0d3f.20260101"])
def test_build_metadata_stands_after_an_underscore_and_makes_no_difference(tag):
    assert Version.of(tag) == Version.of("1.2.3")
    assert Version.of("1.2.3-rc.1_4") == Version.of("1.2.3-rc.1") < Version.of(tag)


@pytest.mark.parametrize(
    "tag",
    [
        "latest",
        "1",
        "1.2",
        "v1.2",
        "1.2.3.4",
        "01.2.3",
        "1.2.3-",
        "1.2.3-01",
        "1.2.3_",
        "1.2.3_a_b",
        "V1.2.3",
        "²1.2.3",
    ],
)
def test_what_is_no_version_is_none(tag):
    assert Version.of(tag) is None

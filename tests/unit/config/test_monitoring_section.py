import pytest

from config.problems import SettingsError


def test_without_the_section_there_is_no_monitoring_and_an_empty_one_has_every_default(read_settings):
    assert read_settings().monitoring is None

    monitoring = read_settings(monitoring={}).monitoring

    assert (monitoring.port, monitoring.directory, monitoring.consul_token_file) == (5002, None, None)


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"port": 0}, "monitoring.port: 0 is less than 1"),
        ({"directory": "out"}, "monitoring.directory: 'out' is no absolute path"),
        ({"dashboard": True}, "monitoring.dashboard: unknown key"),
    ],
)
def test_what_it_cannot_be_is_refused(read_settings, section, line):
    with pytest.raises(SettingsError) as caught:
        read_settings(monitoring=section)
    assert f"docker-registry:{line}" in str(caught.value)


def test_another_stack_has_an_exporter_of_its_own(read_settings):
    assert (read_settings().exporter_job, read_settings().exporter_service) == (
        "docker-registry-exporter",
        "registry-exporter",
    )
    staging = read_settings(registry={"name": "staging"})
    assert (staging.exporter_job, staging.exporter_service) == ("staging-exporter", "staging-exporter")

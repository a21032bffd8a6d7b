import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from config.problems import Problem, SettingsError, from_pydantic, key_of, suggestion


class Disk(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    path: str
    password: str | None = None


class Machine(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    disks: list[Disk] = []
    by_name: dict[str, Disk] = {}


def lines(value):
    with pytest.raises(ValidationError) as caught:
        Machine.model_validate(value)
    schema = Machine.model_json_schema()
    return [str(each) for each in from_pydantic(caught.value, "ns:machine", schema, secrets={"password"})]


def test_a_key_is_spelled_as_pulumi_config_takes_it():
    assert key_of("ns:auth", ("users", "alice")) == "ns:auth.users.alice"
    assert key_of("ns:registry", ("datacenters", 0)) == "ns:registry.datacenters[0]"


def test_an_unknown_name_is_answered_with_the_closest_one():
    assert suggestion("memroy", ["memory", "cpu"]) == "did you mean memory?"


def test_an_unknown_name_that_is_close_to_none_is_answered_with_all():
    assert suggestion("zzz", ["memory", "cpu"]) == "known are cpu, memory"


def test_a_report_is_sorted_tells_each_problem_once_and_names_the_file_in_every_line():
    error = SettingsError(
        "Pulumi.dev.yaml", [Problem("b", "wrong"), Problem("a", "wrong"), Problem("b", "wrong")]
    )
    assert str(error) == "Pulumi.dev.yaml: a: wrong\nPulumi.dev.yaml: b: wrong"


def test_an_unknown_key_in_a_list_is_answered_with_the_names_known_there():
    assert lines({"disks": [{"path": "/srv", "pth": "/srv"}]}) == [
        "ns:machine.disks[0].pth: unknown key; did you mean path?"
    ]


def test_an_unknown_key_in_a_mapping_is_answered_with_the_names_known_there():
    assert lines({"by_name": {"a": {"path": "/srv", "zzz": 1}}}) == [
        "ns:machine.by_name.a.zzz: unknown key; known are password, path"
    ]


def test_a_missing_key_is_told_as_required():
    assert lines({"disks": [{}]}) == ["ns:machine.disks[0].path: is required"]


def test_the_value_of_a_secret_key_is_not_shown():
    assert lines({"disks": [{"path": "/srv", "password": 12345}]}) == [
        "ns:machine.disks[0].password: the value (not shown) is not a text"
    ]

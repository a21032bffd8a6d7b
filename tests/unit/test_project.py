from pathlib import Path

import yaml

from config.settings import NAMESPACE, OPTIONAL_SECTIONS, SECTIONS

PROJECT = yaml.safe_load((Path(__file__).parents[2] / "Pulumi.yaml").read_text())


def test_the_project_declares_every_section_and_a_stack_may_leave_each_out():
    declared = PROJECT["config"]

    assert set(declared) == {f"{NAMESPACE}:{key}" for key in SECTIONS.keys() - OPTIONAL_SECTIONS}
    for key, entry in declared.items():
        assert entry["description"], key
        assert entry["default"] in ({}, []), key


def test_every_operation_refreshes_first_since_nomad_may_revert_the_job():
    assert PROJECT["options"]["refresh"] == "always"

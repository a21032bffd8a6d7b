import re
from pathlib import Path

import yaml

from config.settings import NAMESPACE, OPTIONAL_SECTIONS, SECTIONS

REPOSITORY = Path(__file__).parents[2]
PROJECT = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())


def test_the_project_declares_every_section_and_a_stack_may_leave_each_out():
    declared = PROJECT["config"]

    assert set(declared) == {f"{NAMESPACE}:{key}" for key in SECTIONS.keys() - OPTIONAL_SECTIONS}
    for key, entry in declared.items():
        assert entry["description"], key
        assert entry["default"] in ({}, []), key


def test_every_operation_refreshes_first_since_nomad_may_revert_the_job():
    assert PROJECT["options"]["refresh"] == "always"


def test_workflows_install_the_engine_of_the_sdk_that_is_pinned():
    [sdk] = re.findall(r"^pulumi==(\S+)", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE)

    installed = {
        step["with"]["pulumi-version"]
        for file in (REPOSITORY / ".github/workflows").glob("*.yml")
        for job in yaml.safe_load(file.read_text())["jobs"].values()
        for step in job["steps"]
        if step.get("uses", "").startswith("pulumi/actions@")
    }

    assert installed == {sdk}

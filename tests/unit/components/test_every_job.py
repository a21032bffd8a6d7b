import ast
from pathlib import Path

import pytest

COMPONENTS = Path(__file__).parents[3] / "components"


def jobs(file):
    """What is said of each job that a component makes: names of arguments."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "nomad.Job":
            yield {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}


@pytest.mark.parametrize("file", sorted(COMPONENTS.glob("*.py")), ids=lambda file: file.stem)
def test_each_job_runs_again_when_somebody_stopped_it_and_leaves_nothing_when_it_goes(file):
    for said in jobs(file):
        assert (said.get("rerun_if_dead"), said.get("purge_on_destroy")) == ("True", "True")


def test_there_are_such_jobs():
    assert sum(len(list(jobs(file))) for file in COMPONENTS.glob("*.py")) >= 10

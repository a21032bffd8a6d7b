from pathlib import Path

import pytest

from devcluster import hosts
from devcluster.instance import Instance

INSTANCE = Instance(root=Path("/srv/one"))
OTHER = Instance(root=Path("/srv/two"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost")
    return path


def test_the_line_is_added_once_on_a_line_of_its_own(file):
    assert hosts.add(INSTANCE, file) is None
    assert hosts.add(INSTANCE, file) is None
    assert file.read_text() == f"127.0.0.1 localhost\n{hosts.line(INSTANCE)}\n"
    assert hosts.line(INSTANCE).startswith("127.0.0.1 registry.homelab.local #")


def test_removing_takes_only_this_clusters_line(file):
    hosts.add(INSTANCE, file)
    hosts.add(OTHER, file)
    hosts.remove(INSTANCE, file)
    assert file.read_text() == f"127.0.0.1 localhost\n{hosts.line(OTHER)}\n"


def test_without_the_right_to_write_the_line_is_shown_instead(file, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert hosts.line(INSTANCE) in (hosts.add(INSTANCE, file) or "")
    assert file.read_text() == "127.0.0.1 localhost"

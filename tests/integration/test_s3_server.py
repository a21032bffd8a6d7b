"""The S3 server that other tests store images and backups in."""

import os
import subprocess

import httpx
import pytest
from s3_server import s3_server

from devcluster import storage_tools


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as made:
        yield made


def test_an_object_comes_back_as_it_was_put(server, tmp_path):
    content = os.urandom(5_000_000)
    (tmp_path / "object").write_bytes(content)
    server.rclone("mkdir", "s3:first")
    server.rclone("copyto", tmp_path / "object", "s3:first/a/object")
    assert server.rclone("cat", "s3:first/a/object") == content
    assert server.rclone("lsf", "-R", "--files-only", "s3:first").split() == [b"a/object"]


def test_without_the_right_key_nothing_is_read_or_written(server, tmp_path):
    assert httpx.get(f"{server.endpoint}/first/a/object").status_code == 403
    wrong = subprocess.run(
        [storage_tools.rclone(), "lsf", "s3:"],
        env={**server.rclone_env, "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": "wrong", "PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
    )
    assert wrong.returncode != 0

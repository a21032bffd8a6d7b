from pathlib import Path

from devcluster import cluster


def test_mounts_below_the_folder_and_only_those_are_taken_away_last_mounted_first(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "tmpfs /srv/one/a tmpfs rw 0 0\n"
        "tmpfs /srv/one/a/b\\040c tmpfs rw 0 0\n"
        "tmpfs /srv/one-more tmpfs rw 0 0\n"
    )
    commands = []
    monkeypatch.setattr(cluster.subprocess, "run", lambda command, check: commands.append(command))
    cluster.unmount_below(Path("/srv/one"), mounts)
    assert [str(command[-1]) for command in commands] == ["/srv/one/a/b c", "/srv/one/a"]

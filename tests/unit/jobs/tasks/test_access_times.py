from pathlib import Path

import pytest

from jobs.tasks.access_times import are_kept

MOUNTS = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 /@cache /srv/cache rw,nodev,noatime - btrfs /dev/md2 rw
31 30 0:41 / /srv/cache/strict rw - ext4 /dev/sdb rw
32 22 0:42 / /srv/two\040words rw,noatime - ext4 /dev/sdc rw
33 22 0:43 / /srv/over rw,noatime - ext4 /dev/sdd rw
34 33 0:44 / /srv/over rw,relatime - overlay overlay rw
""".strip()


@pytest.mark.parametrize(
    ("directory", "kept"),
    [
        ("/var/lib/registry-cache", True),
        ("/srv/cache", False),
        ("/srv/cache/hub", False),
        ("/srv/cache-of-others", True),
        ("/srv/cache/strict/hub", True),
        ("/srv/two words/hub", False),
        ("/srv/over/hub", True),
    ],
)
def test_the_mount_that_a_directory_is_on_says_whether_reads_are_noted(directory, kept):
    assert are_kept(Path(directory), MOUNTS) is kept


def test_this_machines_mounts_can_be_read():
    assert are_kept(Path("/proc"), Path("/proc/self/mountinfo").read_text()) is True

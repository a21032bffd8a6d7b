"""Whether a directory's file system notes when files are read."""

import re
from pathlib import Path


def are_kept(directory: Path, mounts: str) -> bool:
    """Tell from `mounts`, the text of /proc/self/mountinfo (proc(5)), whether reading sets access times.

    With the usual `relatime` it does so once a day, and always after the file was written.
    """
    options = ""
    longest = -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4]))
        # Of two at one place the later one hides the other.
        if directory.is_relative_to(point) and len(point.parts) >= longest:
            longest, options = len(point.parts), fields[5]
    return "noatime" not in options.split(",")

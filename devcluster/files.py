"""Files that are written whole or not at all, and only when their content changes."""

import os
import tempfile
from pathlib import Path

PRIVATE = 0o600


def write(path: Path, text: str, *, mode: int = 0o644) -> bool:
    """Give `path` this text and mode; False when it has both already."""
    if path.exists() and path.read_text() == text and path.stat().st_mode & 0o777 == mode:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, mode)
        file.write(text)
        file.flush()
        os.fsync(handle)
    Path(name).replace(path)
    return True

"""Names for what a stand-in is made of."""

import hashlib
from pathlib import Path

_MECHANISM = ("stand_in.py", "libraries.py")


def recipe(program: str, module: str) -> str:
    """Name a stand-in's content: its program, the module that makes it, and how stand-ins are made at all."""
    sources = [Path(module), *(Path(__file__).with_name(name) for name in _MECHANISM)]
    return hashlib.sha256(program.encode() + b"".join(each.read_bytes() for each in sources)).hexdigest()[:12]

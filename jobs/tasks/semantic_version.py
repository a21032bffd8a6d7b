"""Semantic versions, as tags spell them (semver.org 2.0.0; a leading v is allowed).

A tag cannot have the + before build metadata: Helm writes _ for it (helm.sh/helm/v3, pkg/registry).
"""

import re
from dataclasses import dataclass

_NUMBER = r"0|[1-9][0-9]*"
_IDENTIFIER = r"[0-9]*[a-zA-Z-][0-9a-zA-Z-]*"
_VERSION = re.compile(
    rf"v?({_NUMBER})\.({_NUMBER})\.({_NUMBER})"
    rf"(?:-((?:{_NUMBER}|{_IDENTIFIER})(?:\.(?:{_NUMBER}|{_IDENTIFIER}))*))?"
    r"(?:_[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)


@dataclass(frozen=True, order=True)
class Version:
    """A version; they compare by precedence, a prerelease below its release, whatever the build metadata."""

    minor_line: tuple[int, int]  # major and minor
    patch: int
    release: bool
    prerelease: tuple[tuple[bool, int, str], ...]  # numbers come before words

    @classmethod
    def of(cls, tag: str) -> "Version | None":
        """Read a tag; None if it is no semantic version."""
        found = _VERSION.fullmatch(tag)
        if found is None:
            return None
        major, minor, patch, prerelease = found.groups()
        parts = prerelease.split(".") if prerelease else []
        return cls(
            (int(major), int(minor)),
            int(patch),
            not parts,
            tuple((False, int(each), "") if each.isdigit() else (True, 0, each) for each in parts),
        )

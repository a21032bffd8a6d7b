"""Reads manifests that anybody may have pushed, as the registry does: by the rules of Go's encoding/json.

Whatever the registry took can be read here too. What nothing is read from is passed over without keeping any
of it, and nothing recurses: the worst manifests take some 30 MiB of memory.

The rules (Go's encoding/json, scanner.go and decode.go; distribution, registry/storage/manifeststore.go):
- A string may have any bytes; those that are not UTF-8 stand for U+FFFD.
- Lists and objects go 10,000 deep, and no deeper.
- A field is found by its name in any case. Of two with the same name the later one is read into what the
  earlier one left: what it does not say stays.
- How long a number is matters only where one is read. `null` leaves a value as it is, and empties a list.
- A field with a value of another type makes the manifest unreadable, if the registry reads that field.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any, TypeVar

# Bytes; the registry takes no longer one (distribution, registry/handlers/manifests.go: maxManifestBodySize).
LONGEST = 4 * 1024 * 1024

# The algorithms that are registered (OCI image specification, descriptor.md), and go-digest's sha384.
_DIGEST = re.compile(r"(sha256|blake3):[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")

_DEEPEST = 10_000  # encoding/json, scanner.go: maxNestingDepth
_LONGEST_TEXT = 1024  # bytes; media types and digests have some 100, and a longer text is cut
_LONGEST_NAME = 6 * len("schemaVersion")  # bytes of a field's name, all of its letters escaped
_END_OF_INT = 2**63  # Go's int64, and its int on the machines that the registry is built for

# Repetitions of more than a character are bounded, since each takes memory; what is longer goes on in a loop.
# (Python before 3.11.5 errs in possessive ones: github.com/python/cpython/issues/106052.)
_SPACE = rb"[ \t\r\n]*+"
_PLAIN, _ESCAPED = rb'[^"\\\x00-\x1f]', rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_STRING = rb'"' + _PLAIN + rb"*+(?:" + _ESCAPED + _PLAIN + rb'*+){0,100}"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_SCALAR = rb"(?:" + _STRING + rb"|" + _NUMBER + rb"|true|false|null)"
_COLON, _COMMA = _SPACE + rb":" + _SPACE, _SPACE + rb"," + _SPACE
_EMPTY = rb"(?:" + _SCALAR + rb"|\[" + _SPACE + rb"\]|\{" + _SPACE + rb"\})"
_PAIR = _STRING + _COLON + _EMPTY


def _few(item: bytes) -> bytes:
    return _SPACE + item + rb"(?:" + _COMMA + item + rb"){0,20}" + _SPACE


_FLAT = rb"(?:" + _EMPTY + rb"|\[" + _few(_EMPTY) + rb"\]|\{" + _few(_PAIR) + rb"\})"
_TEXT = rb"(?:" + _STRING + rb"|null)"


def _run(item: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?:" + item + rb"){0,1000}")


_BLANK, _VALUE, _WORD, _WHOLE = map(re.compile, (_SPACE, _SCALAR, _STRING, _NUMBER))
_AFTER_NAME, _SEPARATOR = re.compile(_COLON), re.compile(_COMMA)
_END, _CLOSING = re.compile(_SPACE + rb"([,\]}])" + _SPACE), re.compile(_SPACE + rb"([\]}]++)")
_CHARACTERS, _OPENING = _run(_PLAIN + rb"++|" + _ESCAPED), _run(rb"\[" + _SPACE)
# What comes before the last item of a list, or member of an object, as far as it holds little itself.
_ITEMS, _MEMBERS = _run(_FLAT + _COMMA), _run(_STRING + _COLON + _FLAT + _COMMA)
_STRINGS, _TEXTS = _run(_TEXT + _COMMA), _run(_STRING + _COLON + _TEXT + _COMMA)
_NOTHING = _run(rb"(?:\{" + _SPACE + rb"\}|null)" + _COMMA)
_CLOSERS = bytes.maketrans(b"[{", b"]}")

# The fields that the registry reads, by what the manifest says that it is.
_IMAGE, _INDEX = frozenset({"config", "layers", "annotations"}), frozenset({"manifests", "annotations"})
_DOCKER_IMAGE, _DOCKER_LIST = _IMAGE - {"annotations"}, _INDEX - {"annotations"}
_OCI_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_FIELDS = {
    "application/vnd.docker.distribution.manifest.v2+json": _DOCKER_IMAGE,
    "application/vnd.docker.distribution.manifest.list.v2+json": _DOCKER_LIST,
    "application/vnd.oci.image.manifest.v1+json": _IMAGE,
    _OCI_INDEX_TYPE: _INDEX,
}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of something that it refers to (OCI image specification, descriptor.md)."""

    digest: str
    media_type: str = ""
    elsewhere: bool = False  # it has URLs: clients fetch it from another place, as Windows' base layers
    platform: tuple[str, str, str] | None = None  # os, architecture and variant, as somebody wrote them


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a manifest says. What it refers to without a digest is left out: that can be nowhere."""

    schema_version: int = 0
    media_type: str = ""
    config: tuple[Descriptor, ...] = ()  # one, or none
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    has_manifests: bool = False  # maybe an empty list
    subject: tuple[Descriptor, ...] = ()  # one, or none
    others: tuple[Descriptor, ...] = ()  # layers of schema 1, and blobs of OCI's artifacts
    mistyped: frozenset[str] = frozenset()  # fields with a value of a wrong type, in small letters

    def fields(self, version: str = "3") -> frozenset[str] | None:
        """Name the fields that a version of the registry reads; None if it does not know the media type."""
        index = _INDEX if version == "3" else _DOCKER_LIST  # 2.x reads all indexes as Docker's lists
        if self.media_type == "":
            return index if self.has_manifests and not index & self.mistyped else _IMAGE
        return index if self.media_type == _OCI_INDEX_TYPE else _FIELDS.get(self.media_type)

    def is_readable(self, version: str = "3") -> bool:
        """Tell whether a version of the registry can read it; of schema 1 no more than that it says so."""
        if {"schemaversion", "mediatype"} & self.mistyped:
            return False
        fields = self.fields(version)
        return self.schema_version == 2 and fields is not None and not fields & self.mistyped


def is_digest(text: str) -> bool:
    """Tell whether a text is a digest, by which something could be in the store."""
    return _DIGEST.fullmatch(text) is not None


def read(text: bytes) -> Document:
    """Read a manifest. Raises ValueError if it is no JSON object, or longer than any that can be pushed."""
    if len(text) > LONGEST:
        raise ValueError("longer than a manifest can be")
    reader = _Reader(text)
    found = reader.document()
    manifests = found.get("manifests")
    return Document(
        schema_version=found.get("schemaversion") or 0,
        media_type=found.get("mediatype") or "",
        config=tuple(_descriptors([found.get("config")])),
        layers=tuple(_descriptors(_elements(found.get("layers")))),
        manifests=tuple(_descriptors(_elements(manifests))),
        has_manifests=manifests is not None,
        subject=tuple(_descriptors([found.get("subject")])),
        others=tuple(
            _descriptors([*_elements(found.get("fslayers")), *_elements(found.get("blobs"))]),
        ),
        mistyped=frozenset(reader.mistyped),
    )


_Value = TypeVar("_Value")
# What is kept of an object, in the order of its type; None if that is nothing. A dict takes twice as much.
_Struct = tuple[Any, ...] | None


@dataclass(frozen=True)
class _Type:
    """A Go struct: the fields that are read, by name in small letters, and those that are kept."""

    fields: "Mapping[str, Callable[[_Reader, Any], Any]]"
    kept: tuple[str, ...]


@dataclass
class _Slice:
    """A Go slice: the elements beyond its length are what an earlier, longer list left there."""

    elements: list[_Struct] = field(default_factory=list)
    length: int = 0


def _elements(found: _Slice | None) -> list[_Struct]:
    return found.elements[: found.length] if found else []


def _descriptors(values: list[_Struct]) -> Iterator[Descriptor]:
    for value in values:
        if value and is_digest(value[0] or ""):
            digest, media_type, urls, platform = value
            system, architecture, variant = (intern(part or "") for part in platform or ("", "", ""))
            yield Descriptor(
                intern(digest),
                intern(media_type or ""),
                bool(urls),
                (system, architecture, variant) if platform else None,
            )


class _Reader:
    """A place in a text. Every method reads from there, and raises ValueError where there is no JSON."""

    def __init__(self, text: bytes) -> None:
        self.mistyped: set[str] = set()
        self._text, self._at, self._depth, self._is_mistyped = text, 0, 0, False

    def document(self) -> dict[str, Any]:
        """Read the whole text: the fields that are known."""
        self._space()
        if not self._text.startswith(b"{", self._at):
            raise ValueError("no JSON object")
        found: dict[str, Any] = {}
        for name in self._names():
            self._field(_DOCUMENT, name, found)
            if self._is_mistyped:
                self.mistyped.add(name)
                self._is_mistyped = False
        if self._at != len(self._text):
            raise self._error()
        return found

    def string(self, before: str | None) -> str | None:
        """Read a string."""
        if not self._text.startswith(b'"', self._at):
            return self._other(before)
        written = self._quoted()
        if len(written) <= _LONGEST_TEXT:
            return _decoded(written)
        start = _CHARACTERS.match(written[:_LONGEST_TEXT])  # an escape is cut off as a whole
        return f"{_decoded(start[0] if start else b'')}…"

    def whole(self, before: int | None) -> int | None:
        """Read a whole number."""
        found = _WHOLE.match(self._text, self._at)
        if not found:
            return self._other(before)
        self._at, digits = found.end(), found[0]
        # Python refuses numbers of more than 4,300 digits.
        if len(digits) <= 20 and digits.lstrip(b"-").isdigit() and -_END_OF_INT <= int(digits) < _END_OF_INT:
            return int(digits)
        self._is_mistyped = True
        return before

    def strings(self, before: bool | None) -> bool | None:
        """Read a list of strings; whether it has any."""
        if not self._text.startswith(b"[", self._at):
            return None if self._null() else self._other(before)
        found = False
        for _ in self._items(_STRINGS):
            self.string(None)
            found = True
        return found

    def texts(self, before: None) -> None:
        """Pass over an object with strings only."""
        if not self._text.startswith(b"{", self._at):
            return self._other(before)
        for _ in self._names(_TEXTS):
            self.string(None)
        return None

    def struct(self, kind: _Type, before: _Struct) -> _Struct:
        """Read an object into what an earlier one left."""
        if not self._text.startswith(b"{", self._at):
            return self._other(before)
        found = dict(zip(kind.kept, before, strict=True)) if before else {}
        for name in self._names():
            self._field(kind.fields, name, found)
        kept = tuple(found.get(name) for name in kind.kept)
        return kept if any(kept) else None

    def pointer(self, kind: _Type, before: _Struct) -> _Struct:
        """Read an object that `null` removes."""
        return None if self._null() else self.struct(kind, before)

    def slice(self, kind: _Type, before: _Slice | None) -> _Slice | None:
        """Read a list of objects, each into what an earlier list left at its place."""
        if not self._text.startswith(b"[", self._at):
            return None if self._null() else self._other(before)
        found, count = before or _Slice(), 0
        for _ in self._items():
            if count == len(found.elements):
                found.elements += [None] * (self._pass_run(_NOTHING).count(b",") + 1)
                count = len(found.elements) - 1
            found.elements[count] = self.struct(kind, found.elements[count])
            count += 1
        found.length = count
        return found if count else _Slice()

    def _field(
        self, fields: "Mapping[str, Callable[[_Reader, Any], Any]]", name: str, found: dict[str, Any]
    ) -> None:
        if reads := fields.get(name):
            found[name] = reads(self, found.get(name))
        else:
            self._pass()

    def _names(self, run: re.Pattern[bytes] | None = None) -> Iterator[str]:
        """Go through an object: stop at each value, and give its name; what fits `run` is passed over."""
        for _ in self._inside(b"}", run):
            name = self._name()
            yield _folded(name)

    def _items(self, run: re.Pattern[bytes] | None = None) -> Iterator[None]:
        """Go through a list likewise."""
        return self._inside(b"]", run)

    def _inside(self, bracket: bytes, run: re.Pattern[bytes] | None) -> Iterator[None]:
        self._enter(1)
        self._at += 1
        self._space()
        if self._text.startswith(bracket, self._at):
            self._at += 1
            self._depth -= 1
            return
        while True:
            if run:
                self._pass_run(run)
            yield
            if self._is_mistyped:  # what it is in is not read any further
                self._depth -= 1
                is_open = bytearray(b"[" if bracket == b"]" else b"{")
                if self._continues(is_open):
                    self._pass(is_open)
                return
            if self._ends(bracket):
                return

    def _name(self) -> bytes:
        """Read a member's name, up to its value."""
        if not self._text.startswith(b'"', self._at):
            raise self._error()
        name = self._quoted()
        colon = _AFTER_NAME.match(self._text, self._at)
        if not colon:
            raise self._error()
        self._at = colon.end()
        return name

    def _quoted(self) -> bytes:
        """Read a string as it is written, without its quotes."""
        start = self._at
        if found := _WORD.match(self._text, start):
            self._at = found.end()
        else:
            self._at += 1
            self._pass_run(_CHARACTERS)
            if not self._text.startswith(b'"', self._at):
                raise self._error()
            self._at += 1
        return self._text[start + 1 : self._at - 1]

    def _pass_run(self, run: re.Pattern[bytes]) -> bytes:
        start = self._at
        while (found := run.match(self._text, self._at)) and found.end() > self._at:
            self._at = found.end()
        return self._text[start : self._at]

    def _ends(self, bracket: bytes) -> bool:
        """Go over what follows a value: a comma, or the bracket that ends what it is in."""
        found = _END.match(self._text, self._at)
        if not found or found[1] not in (b",", bracket):
            raise self._error()
        self._at = found.end()
        self._depth -= found[1] == bracket
        return found[1] == bracket

    def _other(self, before: _Value) -> _Value:
        """Pass over a value that is not of the type that is read; `null` is of every type."""
        if not self._null():
            self._pass()
            self._is_mistyped = True
        return before

    def _null(self) -> bool:
        if not self._text.startswith(b"null", self._at):
            return False
        self._at += len(b"null")
        return True

    def _pass(self, is_open: bytearray | None = None) -> None:
        """Pass over a value, however deep it is, and over the rest of what `is_open`."""
        text = self._text
        if is_open is None:
            is_open = bytearray()
        while True:
            if lists := self._pass_run(_OPENING):
                is_open += b"[" * lists.count(b"[")
            elif text.startswith(b"{", self._at):
                is_open += b"{"
                self._at += 1
                self._space()
            else:
                if value := _VALUE.match(text, self._at):
                    self._at = value.end()
                elif text.startswith(b'"', self._at):
                    self._quoted()
                else:
                    raise self._error()
                if self._continues(is_open):
                    continue
                return
            if self._depth + len(is_open) > _DEEPEST:
                raise ValueError("nested too deeply")
            if text[self._at : self._at + 1] != is_open[-1:].translate(_CLOSERS):
                self._to_value(is_open)
            elif not self._continues(is_open):
                return

    def _continues(self, is_open: bytearray) -> bool:
        """Go from the end of a value to the next one; False if the one that is passed over is at its end."""
        while is_open:
            if closing := _CLOSING.match(self._text, self._at):
                brackets = closing[1][: len(is_open)]
                if brackets != is_open[: -len(brackets) - 1 : -1].translate(_CLOSERS):
                    raise self._error()
                del is_open[-len(brackets) :]
                self._at = closing.start(1) + len(brackets)
            elif comma := _SEPARATOR.match(self._text, self._at):
                self._at = comma.end()
                self._to_value(is_open)
                return True
            else:
                raise self._error()
        return False

    def _to_value(self, is_open: bytearray) -> None:
        """Go from the start of an item, or of a member, to a value that has to be looked at."""
        in_list = is_open.endswith(b"[")
        if self._depth + len(is_open) + 2 <= _DEEPEST:  # what a flat value may hold
            self._pass_run(_ITEMS if in_list else _MEMBERS)
        if not in_list:
            self._name()

    def _enter(self, count: int) -> None:
        self._depth += count
        if self._depth > _DEEPEST:
            raise ValueError("nested too deeply")

    def _space(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _error(self) -> ValueError:
        return ValueError(f"no JSON at byte {self._at}")


_PLATFORM = _Type(
    {
        "os": _Reader.string,
        "architecture": _Reader.string,
        "variant": _Reader.string,
        "os.version": _Reader.string,
        "os.features": _Reader.strings,
    },
    kept=("os", "architecture", "variant"),
)
_DESCRIPTOR = _Type(
    {
        "digest": _Reader.string,
        "mediatype": _Reader.string,
        "urls": _Reader.strings,
        "platform": lambda reader, before: reader.pointer(_PLATFORM, before),
        "size": _Reader.whole,
        "annotations": _Reader.texts,
    },
    kept=("digest", "mediatype", "urls", "platform"),
)
# It has only a digest, by another name.
_LAYER_OF_SCHEMA_1 = _Type({"blobsum": _Reader.string}, kept=("blobsum", "mediatype", "urls", "platform"))


def _one(reader: _Reader, before: _Struct) -> _Struct:
    return reader.struct(_DESCRIPTOR, before)


def _many(reader: _Reader, before: _Slice | None) -> _Slice | None:
    return reader.slice(_DESCRIPTOR, before)


_DOCUMENT: Mapping[str, Callable[[_Reader, Any], Any]] = {
    "schemaversion": _Reader.whole,
    "mediatype": _Reader.string,
    "config": _one,
    "layers": _many,
    "manifests": _many,
    "annotations": _Reader.texts,
    "subject": _one,
    "blobs": _many,
    "fslayers": lambda reader, before: reader.slice(_LAYER_OF_SCHEMA_1, before),
}


def _folded(name: bytes) -> str:
    """Write a field's name in small letters, as Go compares them; empty if it is too long for one."""
    # Two other letters are an s and a k to Go (unicode.SimpleFold); Python knows the second one.
    return _decoded(name).replace("\u017f", "s").lower() if len(name) <= _LONGEST_NAME else ""


def _decoded(text: bytes) -> str:
    """Read what is between a string's quotes; half a surrogate pair is U+FFFD too."""
    decoded = text.decode(errors="replace")
    if "\\" in decoded:
        decoded = json.loads(f'"{decoded}"')
        decoded = decoded.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return decoded

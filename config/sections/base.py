"""What the sections of a stack file are made of: strict models, and the values that several of them take."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from config.registry import go_duration

# RFC 1123: letters, digits and inner hyphens, 63 characters a label, 253 in all.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def _hostname(value: str) -> str:
    if len(value) > 253 or not _HOSTNAME.fullmatch(value) or value.rsplit(".", 1)[-1].isdigit():
        raise ValueError("{value} is no host name; write it like registry.homelab.local")
    return value


def _text(value: str) -> str:
    """Refuse what nobody can see, and what Nomad would replace (Nomad: interpolation; HCL: templates)."""
    if not value.isprintable():
        raise ValueError("{value} has a character that cannot be seen, as the end of a line; remove it")
    if "${" in value or "%{" in value:
        raise ValueError("{value} has ${ or %{, by which Nomad would put something else there; remove it")
    return value


def _absolute_path(value: PurePosixPath) -> PurePosixPath:
    _text(str(value))
    if not value.is_absolute() or ".." in value.parts:
        raise ValueError("{value} is no absolute path; write it like /volume1/nomad/volumes")
    if '"' in str(value) or "\\" in str(value):  # Nomad's configuration has it as a text of HCL
        raise ValueError("{value} has a quote or a backslash; take a directory without")
    return value


def duration_between(shortest: str, longest: str) -> AfterValidator:
    """Accept a length of time as Go writes it, within bounds."""
    low, high = go_duration(shortest), go_duration(longest)

    def check(value: str) -> str:
        try:
            length = go_duration(value)
        except ValueError:
            raise ValueError("{value} is no duration; write it like 15m or 1h30m") from None
        if not low <= length <= high:
            raise ValueError(f"{{value}} is not between {shortest} and {longest}")
        return value

    return AfterValidator(check)


def secret_schema(inner: dict[str, Any]) -> WithJsonSchema:
    """In the stack file a secret is `{secure: …}`; the program is given it decrypted."""
    secure = {
        "type": "object",
        "properties": {"secure": {"type": "string"}},
        "required": ["secure"],
        "additionalProperties": False,
        "description": "Encrypted by `pulumi config set --secret`",
    }
    return WithJsonSchema({"anyOf": [inner, secure]})


Text = Annotated[str, AfterValidator(_text)]
HttpUrl = Annotated[str, Field(pattern=r"^https?://\S+$"), AfterValidator(_text)]
# distribution/reference: host and port, path, tag, digest. Where a name is all, or ends, differs by the tag.
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::\d{{1,5}})?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?",
    re.ASCII,
)


def _image(value: str) -> str:
    if not _IMAGE.fullmatch(value):
        raise ValueError(
            "{value} is no image; write it like nas.lan:5000/tools/python:3.13, where a digest (@sha256: and "
            "64 digits of 0-9 and a-f) may follow or replace the tag"
        )
    return value


Image = Annotated[str, AfterValidator(_image)]
Hostname = Annotated[str, AfterValidator(_hostname)]
AbsolutePath = Annotated[
    PurePosixPath, AfterValidator(_absolute_path), WithJsonSchema({"type": "string", "pattern": "^/"})
]
Port = Annotated[int, Field(ge=1, le=65535)]
# Nomad's docker driver makes MHz CPU shares; runc refuses 1: "minimum allowed cpu-shares is 2" or, on
# cgroup v2, "numerical result out of range" (opencontainers/runc #4755).
Cpu = Annotated[int, Field(ge=2)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
SecretText = Annotated[str, secret_schema({"type": "string"})]


class Section(BaseModel):
    """A mapping of the stack file: keys in camelCase, unknown ones refused, never changed once read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True, strict=True
    )

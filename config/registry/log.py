"""The `log` section: level, format, fields of every line, and mails on errors."""

from typing import Annotated, Any

from pydantic import Field

from config.registry.section import NEEDS_3, Section
from config.registry.values import Text, one_of

Level = Annotated[str, one_of("error", "warn", "info", "debug", ignore_case=True)]


class AccessLog(Section):
    """The line per request, in Apache's combined format."""

    disabled: bool


class Smtp(Section):
    """The mail server of a hook."""

    addr: Text
    username: Text | None = None
    password: Text | None = None
    insecure: bool | None = None


class MailOptions(Section):
    """Sender, recipients and server of a hook's mails."""

    smtp: Smtp
    sender: Annotated[Text, Field(alias="from")]
    to: list[Text]


class LogHook(Section):
    """What happens on lines of some levels; the registry knows only mail and passes over other types."""

    type: Annotated[str, one_of("mail")]
    options: MailOptions
    levels: list[
        Annotated[
            str, one_of("panic", "fatal", "error", "warn", "warning", "info", "debug", ignore_case=True)
        ]
    ]
    disabled: bool | None = None


class Log(Section):
    """How the registry logs."""

    level: Level | None = None
    formatter: Annotated[str, one_of("text", "json", "logstash")] | None = None
    fields: dict[str, Any] | None = None  # added to every line
    accesslog: AccessLog | None = None
    hooks: list[LogHook] | None = None
    reportcaller: Annotated[bool | None, NEEDS_3] = None

"""The `notifications` section: who is told of pushes, pulls and deletes."""

from typing import Annotated

from config.registry.section import Section
from config.registry.values import Count, Duration, Headers, Text, Url, one_of


class Events(Section):
    """What an event tells."""

    includereferences: bool


class Ignore(Section):
    """Events that an endpoint is not told of."""

    mediatypes: list[Text] | None = None
    actions: list[Annotated[str, one_of("pull", "push", "mount", "delete")]] | None = None


class Endpoint(Section):
    """A URL that events are posted to; `threshold` failures make it pause for `backoff`."""

    name: Text
    url: Url
    disabled: bool | None = None
    headers: Headers | None = None
    timeout: Duration | None = None
    threshold: Count | None = None
    backoff: Duration | None = None
    ignoredmediatypes: list[Text] | None = None
    ignore: Ignore | None = None


class Notifications(Section):
    """Endpoints, and what they are told."""

    events: Events | None = None
    endpoints: list[Endpoint] | None = None

"""What a check says when it fails."""

from checks.visible import visible_lines


class CheckError(Exception):
    """A server or the registry is not as it must be; the message says what, where, and what to do."""

    def __str__(self) -> str:
        """Give the message, in which a server's own words are harmless: Pulumi's engine prints it too.

        The engine takes `<{%…%}>` for a color, and panics at one that it does not know (its colors.go).
        """
        return visible_lines(super().__str__()).replace("<{%", "<{ %")


class AnswerError(CheckError):
    """A server answered with an HTTP error; `status` is its code, `reason` the server's own words."""

    def __init__(self, message: str, *, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

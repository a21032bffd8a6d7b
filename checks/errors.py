"""What a check says when it fails."""


class CheckError(Exception):
    """A server or the registry is not as it must be; the message says what, where, and what to do."""


class AnswerError(CheckError):
    """A server answered with an HTTP error; `status` is its code, `reason` the server's own words."""

    def __init__(self, message: str, *, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

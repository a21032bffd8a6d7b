"""The end of a log-in in the browser: the provider sends the person back to a port of this machine."""

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from config.names import OIDC_CALLBACK

PATH, PORT = urlsplit(OIDC_CALLBACK).path, urlsplit(OIDC_CALLBACK).port or 80


class CallbackError(Exception):
    """The browser did not come back with a code."""


class Callback(HTTPServer):
    """Listens on this machine only, for one log-in; to be used in a `with` statement."""

    def __init__(self) -> None:
        self.answer: dict[str, str] | None = None
        try:
            super().__init__(("127.0.0.1", PORT), _Handler)
        except OSError as error:
            raise CallbackError(
                f"cannot listen on port {PORT} of this machine ({error.strerror}): end the program that "
                "does, perhaps another log-in"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server_close()

    def wait(self, state: str, seconds: float) -> str:
        """Wait for the browser and give the code. Raises CallbackError if none comes in time."""
        deadline = monotonic() + seconds
        while self.answer is None or self.answer.get("state") != state:
            self.timeout = deadline - monotonic()
            if self.timeout <= 0:
                raise CallbackError(f"nobody logged in within {seconds:.0f} s; run the command again")
            self.handle_request()
        if "code" not in self.answer:
            reason = self.answer.get("error_description") or self.answer.get("error") or "no code"
            raise CallbackError(f"the provider refused the log-in: {reason}")
        return self.answer["code"]


class _Handler(BaseHTTPRequestHandler):
    server: Callback
    timeout = (
        10  # seconds for a browser to send its request: a connection that says nothing blocks the others
    )

    def do_GET(self) -> None:
        """Take the answer that the provider put into the query."""
        url = urlsplit(self.path)
        if url.path != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.server.answer = {key: values[0] for key, values in parse_qs(url.query).items()}
        page = b"<!doctype html><title>Log-in</title><p>You can close this page: the command goes on."
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay silent: the request's line has the code in it."""

"""The end of a log-in in the browser: the provider sends the person back to a port of this machine."""

from http import HTTPStatus
from threading import Condition, Thread
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from config.names import OIDC_CALLBACK
from jobs.tasks.bounded_server import BoundedHandler, BoundedServer

PATH, PORT = urlsplit(OIDC_CALLBACK).path, urlsplit(OIDC_CALLBACK).port or 80

_POLL_SECONDS = 0.1


class CallbackError(Exception):
    """The browser did not come back with a code."""


class Callback(BoundedServer):
    """Listens on this machine only, for one log-in; to be used in a `with` statement.

    A browser opens connections that it may never use; they keep nobody from answering.
    """

    def __init__(self) -> None:
        self._answers: dict[str, dict[str, str]] = {}  # by the state that each brought back
        self._answered = Condition()
        try:
            super().__init__(("127.0.0.1", PORT), _Handler)
        except OSError as error:
            raise CallbackError(
                f"cannot listen on port {PORT} of this machine ({error.strerror}): end the program that "
                "does, perhaps another log-in"
            ) from None
        self._serving = Thread(target=self.serve_forever, args=(_POLL_SECONDS,), daemon=True)

    def __enter__(self) -> Self:
        self._serving.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    def take(self, answer: dict[str, str]) -> None:
        """Note what the browser brought."""
        with self._answered:
            self._answers[answer.get("state", "")] = answer
            self._answered.notify_all()

    def wait(self, state: str, seconds: float) -> str:
        """Wait for the browser and give the code. Raises CallbackError if none comes in time."""
        with self._answered:
            self._answered.wait_for(lambda: state in self._answers, seconds)
            answer = self._answers.get(state)
        if answer is None:
            raise CallbackError(f"nobody logged in within {seconds:.0f} s; run the command again")
        if "code" not in answer:
            reason = answer.get("error_description") or answer.get("error") or "no code"
            raise CallbackError(f"the provider refused the log-in: {reason}")
        return answer["code"]


class _Handler(BoundedHandler):
    server: Callback

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        """Take the answer that the provider put into the query."""
        url = urlsplit(self.path)
        if url.path != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        page = b"<!doctype html><title>Log-in</title><p>You can close this page: the command goes on."
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)
        self.server.take({key: values[0] for key, values in parse_qs(url.query).items()})

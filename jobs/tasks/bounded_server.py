"""An HTTP server for small answers that neither many connections nor slow ones keep from answering.

A connection is for one request, and has a thread of its own. It ends after a time, whatever its client
does. When there are too many, the one that has let the server wait longest for its request gives way.
"""

import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONNECTIONS = 12
REQUEST_SECONDS = 5.0  # for a client to send its request
ANSWER_SECONDS = 30.0  # for the answer, and for the client to take it
_WAY_SECONDS = 0.5  # for a thread whose connection was ended to end


class BoundedServer(ThreadingHTTPServer):
    """Serves on `address`; to be run by `serve_forever`, which watches the time."""

    request_queue_size = 128  # a burst waits here, and not in threads

    def __init__(self, address: tuple[str, int], handler: type["BoundedHandler"]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.Semaphore(CONNECTIONS)
        self._lock = threading.Lock()
        self._waiting: dict[socket.socket, float] = {}  # until when a request may come (monotonic s)
        self._answering: dict[socket.socket, float] = {}  # until when an answer may take
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, or end it: if all others are being answered."""
        if not self._free.acquire(blocking=False):
            self._end_longest_waiting()
            if not self._free.acquire(timeout=_WAY_SECONDS):
                self.shutdown_request(request)
                return
        with self._lock:
            self._waiting[request] = time.monotonic() + REQUEST_SECONDS
        try:
            super().process_request(request, client_address)
        except BaseException:  # there is no thread to be had
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the connection in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def begin_answer(self, request: socket.socket) -> None:
        """Note that the request has come whole."""
        with self._lock:
            if self._waiting.pop(request, None) is not None:
                self._answering[request] = time.monotonic() + ANSWER_SECONDS

    def service_actions(self) -> None:
        """End what took too long; `serve_forever` calls it twice a second."""
        now = time.monotonic()
        with self._lock:
            for connections in (self._waiting, self._answering):
                for request in [each for each, until in connections.items() if until < now]:
                    _end(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave out of the log that a client went, or was ended."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def _end_longest_waiting(self) -> None:
        with self._lock:
            if self._waiting:
                _end(min(self._waiting, key=lambda each: self._waiting[each]))

    def _forget(self, request: socket.socket) -> None:
        with self._lock:
            self._waiting.pop(request, None)
            self._answering.pop(request, None)
        self._free.release()


class BoundedHandler(BaseHTTPRequestHandler):
    """Answers the requests of such a server."""

    server: BoundedServer
    timeout = ANSWER_SECONDS  # of a single read or write; the server watches the whole

    def parse_request(self) -> bool:
        """Read the request's head, and tell the server."""
        came = super().parse_request()
        if came:
            self.server.begin_answer(self.connection)
        return came

    def log_message(self, *_: object) -> None:
        """Leave requests out of the log."""


def _end(request: socket.socket) -> None:
    """End a connection; its thread reads or writes no more."""
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)

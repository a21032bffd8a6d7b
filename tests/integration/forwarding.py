"""Another address of a server, which can be given up while the server runs on."""

import socket
import threading
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


@contextmanager
def other_address(address):
    """Pass on what comes to a port of its own to the server at `address`; gives the URL of that port."""
    server = urlsplit(address)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening, server.port), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)  # wakes the one who waits for a connection


def _serve(listening, port):
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            server = socket.create_connection(("127.0.0.1", port))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source, sink):
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)

import socketserver
import threading
from fnmatch import fnmatchcase

import pytest

from jobs.tasks.empty_cache import RedisError, empty, main

PASSWORD = "hunter2"


class FakeRedis(socketserver.ThreadingTCPServer):
    """The few commands that are needed; SCAN gives a key at a time."""

    daemon_threads = True

    def __init__(self, databases, password=None):
        super().__init__(("127.0.0.1", 0), Connection)
        self.databases, self.password = databases, password


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        database, known = None, self.server.password is None
        while header := self.rfile.readline():
            words = []
            for _ in range(int(header[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2].decode())
            command, *given = words
            if command == "AUTH":
                known = given == [self.server.password]
                self.say("+OK" if known else "-WRONGPASS invalid username-password pair")
            elif not known:
                self.say("-NOAUTH Authentication required.")
            elif command == "SELECT":
                database = self.server.databases[int(given[0])]
                self.say("+OK")
            elif command == "SCAN":
                self.scan(sorted(self.server.scanned(database)), int(given[0]), given[2])
            elif command == "UNLINK":
                self.say(f":{len([database.remove(key) for key in given])}")

    def scan(self, keys, cursor, pattern):
        found = [key for key in keys[cursor : cursor + 1] if fnmatchcase(key, pattern)]
        following = str(cursor + 1 if cursor + 1 < len(keys) else 0)
        listed = "".join(f"\r\n${len(key)}\r\n{key}" for key in found)
        self.say(f"*2\r\n${len(following)}\r\n{following}\r\n*{len(found)}{listed}")

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def redis(tmp_path):
    """Start one with the keys of its databases; gives the environment of the task."""
    started = []

    def start(databases, password=None, file=None):
        server = FakeRedis(databases, password)
        # The whole list at first: a cursor that skips what was removed would be no fault of ours.
        snapshots = {}
        server.scanned = lambda database: snapshots.setdefault(id(database), list(database))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        started.append(server)
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "frozen").touch()
        if file:
            (tmp_path / "redis-password").write_text(file)
        return {
            "REDIS_ADDRESS": f"127.0.0.1:{server.server_address[1]}",
            "REDIS_DATABASE": "1",
            "NOMAD_SECRETS_DIR": str(tmp_path),
            "NOMAD_ALLOC_DIR": str(tmp_path),
        }

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def test_the_registrys_keys_go_and_others_stay(redis):
    registrys = ["blobs::sha256:1", "repository::a/b::blobs", "repository::a/b::blobs::sha256:1"]
    databases = [["blobs::of another"], [*registrys, "session:7", "blob"]]

    assert empty(redis(databases)) == 3
    assert databases == [["blobs::of another"], ["session:7", "blob"]]


def test_it_logs_in_by_the_password_that_vault_has(redis):
    databases = [[], ["blobs::sha256:1"]]

    assert empty(redis(databases, PASSWORD, file=PASSWORD)) == 1


def test_a_wrong_password_stops_the_run_and_is_not_told(redis, capsys):
    environment = redis([[], ["blobs::sha256:1"]], "other", file=PASSWORD)

    assert main(environment) == 1
    told = capsys.readouterr().err
    assert "answered AUTH: WRONGPASS" in told and PASSWORD not in told


def test_a_redis_that_is_away_stops_the_run(redis):
    environment = redis([[], []])

    with pytest.raises(RedisError, match=r"cannot be reached: .* nothing is collected"):
        empty({**environment, "REDIS_ADDRESS": "127.0.0.1:1"})


def test_what_comes_next_waits_for_its_end(redis, tmp_path, capsys):
    assert main(redis([[], ["blobs::sha256:1"]])) == 0

    assert (tmp_path / "data" / "empty-cache").exists()
    assert "emptied the cache in Redis: 1 keys" in capsys.readouterr().out

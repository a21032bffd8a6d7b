"""The files below a directory in which others may have put anything, read without being led anywhere else.

No symbolic link is followed, in any part of a path: one could lead to the secrets of the task that reads it.
Only regular files are opened, since a named pipe would never end. Whatever else has a name here is not there,
as if it had none.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

# Reading leaves a file's access time: that tells when somebody last pulled an image. Linux has it.
_NOATIME = getattr(os, "O_NOATIME", 0)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Tree:
    """What is below a directory, by paths with `/`. Every method raises OSError."""

    def __init__(self, root: Path) -> None:
        """Take the directory itself as it is: a link to it is the user's."""
        self.root = root

    def open(self, path: str) -> IO[bytes]:
        """Open a regular file. Raises FileNotFoundError if there is none."""
        with self._parent(path) as (folder, name):
            opened = _open_unnoticed(name, folder)
        try:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise _nothing(path)
            return os.fdopen(opened, "rb")
        except BaseException:
            os.close(opened)
            raise

    def read(self, path: str, limit: int) -> bytes:
        """Read a regular file, up to one byte more than `limit`. Raises FileNotFoundError."""
        with self.open(path) as file:
            return file.read(limit + 1)

    def status(self, path: str) -> os.stat_result:
        """Give what the file system knows of a regular file. Raises FileNotFoundError."""
        with self._parent(path) as (folder, name):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise _nothing(path)
        return found

    def has(self, path: str) -> bool:
        """Tell whether there is a regular file."""
        with suppress(FileNotFoundError):
            self.status(path)
            return True
        return False

    def has_name(self, path: str) -> bool:
        """Tell whether there is anything at all of that name."""
        with suppress(FileNotFoundError), self._parent(path) as (folder, name):
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            return True
        return False

    def has_folder(self, path: str) -> bool:
        """Tell whether there is a directory."""
        with suppress(FileNotFoundError), self._folder(path):
            return True
        return False

    def folders(self, path: str) -> list[str]:
        """Name a directory's directories, in order; none if it is not there."""
        return sorted(name for name, kind in self._entries(path) if stat.S_ISDIR(kind))

    def statuses(self, path: str, file: str) -> Iterator[tuple[str, os.stat_result]]:
        """Give the names of a directory's directories, each with what is known of the file in it."""
        with suppress(FileNotFoundError), self._folder(path) as folder:
            for name in self.folders(path):
                with suppress(FileNotFoundError, NotADirectoryError):
                    found = os.stat(f"{name}/{file}", dir_fd=folder, follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode):
                        yield name, found

    def files(self, path: str = "") -> Iterator[str]:
        """Give the paths of all regular files below a directory, however deep."""
        yield from (each for each, kind in self._all(path) if stat.S_ISREG(kind))

    def strange(self, path: str = "") -> Iterator[str]:
        """Give the paths of all that is neither a regular file nor a directory."""
        yield from (each for each, kind in self._all(path) if not stat.S_ISREG(kind))

    def remove(self, path: str) -> None:
        """Remove a directory with all that is in it, or a file or link itself. Raises FileNotFoundError."""
        with self._parent(path) as (folder, name):
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)

    def remove_empty(self, path: str) -> bool:
        """Remove a directory if nothing is in it; whether it was removed."""
        with suppress(OSError), self._parent(path) as (folder, name):
            os.rmdir(name, dir_fd=folder)
            return True
        return False

    def _all(self, path: str) -> Iterator[tuple[str, int]]:
        waiting = [path]
        while waiting:
            folder = waiting.pop()
            for name, kind in self._entries(folder):
                each = f"{folder}/{name}" if folder else name
                if stat.S_ISDIR(kind):
                    waiting.append(each)
                else:
                    yield each, kind

    def _entries(self, path: str) -> list[tuple[str, int]]:
        """Give what is in a directory, each with its mode; nothing if it is not there."""
        found = []
        with suppress(FileNotFoundError), self._folder(path) as folder, os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # it went meanwhile
                    found.append((entry.name, _kind(entry)))
        return found

    def add_link(self, path: str, target: str) -> None:
        """Give a file a second name, if it has not got it, with the directories that this takes."""
        self.make(target.rpartition("/")[0])
        with (
            suppress(FileExistsError),
            self._parent(path) as (folder, name),
            self._parent(target) as (to, new),
        ):
            os.link(name, new, src_dir_fd=folder, dst_dir_fd=to, follow_symlinks=False)

    def replace(self, path: str, text: str) -> None:
        """Replace a file as a whole."""
        with self._parent(path) as (folder, name):
            new = os.open(f"{name}.new", _NEW, 0o644, dir_fd=folder)
            with os.fdopen(new, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(new)
            os.replace(f"{name}.new", name, src_dir_fd=folder, dst_dir_fd=folder)

    def move(self, path: str, target: str) -> None:
        """Move a file or a directory, over a file that is there, and make the directories that this takes."""
        self.make(target.rpartition("/")[0])
        with self._parent(path) as (folder, name), self._parent(target) as (to, new):
            os.replace(name, new, src_dir_fd=folder, dst_dir_fd=to)

    def make(self, path: str) -> None:
        """Make a directory, and those that it is in, unless they are there."""
        made = ""
        for part in path.split("/") if path else ():
            with suppress(FileExistsError), self._folder(made) as folder:
                os.mkdir(part, dir_fd=folder)
            made = f"{made}/{part}" if made else part

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """Open the directory that a path's last part is in."""
        folder, _, name = path.rpartition("/")
        with self._folder(folder) as opened:
            yield opened, name

    @contextmanager
    def _folder(self, path: str) -> Iterator[int]:
        """Open a directory, part by part. Raises FileNotFoundError."""
        opened = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in path.split("/") if path else ():
                try:
                    inner = os.open(part, _FOLDER, dir_fd=opened)
                except OSError as error:
                    if error.errno == errno.ENOTDIR and _is_link(part, opened):
                        raise _nothing(path) from None
                    error.filename = str(self.root / path)
                    raise
                os.close(opened)
                opened = inner
            yield opened
        finally:
            os.close(opened)


def _is_link(name: str, folder: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _open_unnoticed(name: str, folder: int) -> int:
    try:
        try:
            return os.open(name, _FILE | _NOATIME, dir_fd=folder)
        except PermissionError:  # only a file's owner may
            return os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        # A link, a socket, a device of nothing.
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            raise _nothing(name) from None
        raise


def _kind(entry: "os.DirEntry[str]") -> int:
    """Give the file type, as in a mode, without asking for more than the directory says."""
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFREG if entry.is_file(follow_symlinks=False) else stat.S_IFLNK


def _nothing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "no regular file or directory", path)

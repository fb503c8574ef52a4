"""Files and directories that only this user can have written, and atomic publication in them.

What is read here becomes machine code, so a directory or file counts only when it belongs to the
user, is writable for nobody else and is no symbolic link. Functions raise OSError where the system
refuses; the cache turns that into a miss.
"""

from __future__ import annotations

import os
import stat
import time

TEMPORARY = ".tmp-"  # how the names of files in the making start

# a FIFO in the place of a file must not block; 0 where a system lacks the flag
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_READ |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_WRITE |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_TOUCH_AFTER = 3600.0  # seconds between two notes that a file was used


class NotPrivate(OSError):
    """A file that is not a regular file of this user alone."""


def refusal(directory: str) -> str | None:
    """Why a directory must not be used, None when it is good. OSError where it cannot be seen."""
    status = os.lstat(directory)
    if not stat.S_ISDIR(status.st_mode):
        link = stat.S_ISLNK(status.st_mode)
        return f"{directory} is {'a symbolic link' if link else 'no directory'}"
    return _foreign(directory, status)


def _foreign(path: str, status: os.stat_result) -> str | None:
    if os.name == "nt":  # the user's profile is private there; modes say nothing
        return None
    if status.st_uid != os.geteuid():
        return f"{path} belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{path} is writable for other users"
    return None


def make_private(directory: str) -> bool:
    """Create a directory for this user only, unless it is there; False where it is not private."""
    try:
        return refusal(directory) is None
    except FileNotFoundError:
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass  # another process was quicker
        return refusal(directory) is None


def read(path: str, limit: int, note_use: bool = False) -> bytes:
    """At most the first `limit` bytes of a private file. With `note_use` its time of modification,
    by which old files are told, moves to now, but at most once an hour. Raises OSError."""
    handle = os.open(path, _READ)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise NotPrivate(f"{path} is no regular file")
        foreign = _foreign(path, status)
        if foreign is not None:
            raise NotPrivate(foreign)
        content = _read_all(handle, min(limit, status.st_size))
    finally:
        os.close(handle)
    if note_use and time.time() - status.st_mtime > _TOUCH_AFTER:
        try:
            os.utime(path)
        except OSError:  # a read-only disk: the order of eviction suffers, nothing else
            pass
    return content


def _read_all(handle: int, size: int) -> bytes:
    content = os.read(handle, size)
    while 0 < len(content) < size:
        more = os.read(handle, size - len(content))
        if not more:
            break  # somebody cut the file while it was read
        content += more
    return content


def publish(path: str, content: bytes) -> None:
    """Write a temporary file beside `path` and rename it: readers see all of it or nothing. Raises
    OSError and leaves nothing behind. No fsync: what a power cut spoils, the digest finds."""
    temporary = os.path.join(os.path.dirname(path), TEMPORARY + os.urandom(12).hex())
    handle = os.open(temporary, _WRITE, 0o600)
    try:
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(handle, view) :]
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except BaseException:
        unlink(temporary)
        raise


def unlink(path: str) -> bool:
    """Remove a file; False where that fails."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True

"""Files of shared memory as others than their owners see them: opened by name, checked, mapped copy-on-write.

A reader holds a shared lock on the file as long as anything of its mapping lives, and the operating system lets go of
it however the reader ends. So nobody reports that a mapping is gone: whoever fills the file again takes the exclusive
lock, which fails while there is a reader.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import resource
import stat
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import DecodeError, Struct, ValidationError, json

from nbcluster.errors import NBClusterError, ValueReleased
from nbcluster.payload.envelopes import SegmentRef, reference_in
from nbcluster.transport.filling import write_all
from nbcluster.transport.frames import Buffer

HEADER = mmap.PAGESIZE
"""Bytes of a segment before its parts: the nonce of its present filling, then nothing."""

NONCE = 16

ABOUT = "cluster"
"""The file that says of a directory what it is; the controller holds a lock on it."""

_NAME = re.compile(r"[a-z0-9]{1,32}-[0-9]{1,12}")
_FILE = re.compile(_NAME.pattern + r"(-[0-9a-f]{32})?")
"""Of segments, and of those that were written to disk: several fillings of one name may lie there."""


def client_owner(name: str) -> str:
    """Return what begins the names of a client's segments, of its id or of the id of one of its tasks."""
    return f"c{name[:8]}"


def engine_owner(incarnation: int) -> str:
    """Return what begins the names of an engine's segments."""
    return f"e{incarnation}"


class About(Struct, frozen=True):
    """What is said of a directory of segments."""

    directory: str
    """Where the cluster has its sockets."""
    limit: int
    """Bytes of all segments together."""
    spill: str = ""
    """Where on disk segments go on that had to leave memory; "" for nowhere."""


class SharedDirectory:
    """The segments of one cluster on this host.

    Parameters
    ----------
    path : str
        Of the directory; it must be this user's, and nobody else's to enter.

    Raises
    ------
    OSError
        When it cannot be entered.
    NBClusterError
        When others may.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        found = os.fstat(self._fd)
        if found.st_uid != os.getuid() or found.st_mode & 0o077:
            os.close(self._fd)
            self._fd = -1
            raise NBClusterError(f"{path} can be entered by others; no memory is shared there")
        self.spilled: SharedDirectory | None = None
        """Where segments are looked for that are not here any more."""
        try:
            about = json.decode((Path(path) / ABOUT).read_bytes(), type=About)
            self.limit = about.limit
            if about.spill:
                # Of another host, or gone: nothing can be there for us.
                with suppress(OSError, NBClusterError):
                    self.spilled = SpillDirectory(about.spill)
        except (OSError, DecodeError, ValidationError) as error:
            os.close(self._fd)
            self._fd = -1
            raise NBClusterError(
                f"{path} does not say whose it is: {error}; no memory is shared there"
            ) from error

    def __del__(self) -> None:
        fd, self._fd = getattr(self, "_fd", -1), -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)

    @property
    def used(self) -> int:
        """Bytes that all segments take."""
        return sizes(self.path).total()

    def create(self, name: str) -> int:
        """Make an empty segment; return its descriptor."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(name, flags, 0o600, dir_fd=self._fd)

    def rename(self, name: str, to: str) -> None:
        """Give a segment another name."""
        os.rename(name, to, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def link(self, name: str, to: str) -> None:
        """Give a segment a second name; FileExistsError when that is taken."""
        os.link(name, to, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def unlink(self, name: str) -> None:
        """Take a name away; who has mapped it goes on."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def hold(self, reference: SegmentRef) -> Hold:
        """Keep what a reference means from being filled again, as long as the returned object lives.

        Raises
        ------
        ValueReleased
            When it has been let go already.
        NBClusterError
            For a reference that is none of this cluster's.
        """
        return Hold(self._open(reference))

    def opened(self, payload: bytes, buffers: Sequence[Buffer] = ()) -> tuple[bytes, Sequence[Buffer]]:
        """Return a pickle and its buffers: what came, or, where it is an envelope, what that means, mapped.

        Mapped buffers can be written to, which nobody else sees; they are unmapped with their last view.

        Raises
        ------
        ValueReleased
            When it has been let go already.
        NBClusterError
            For a reference that is none of this cluster's.
        """
        reference = reference_in(payload)
        if reference is None:
            return payload, buffers
        parts = self._map(reference)
        if reference.payload is not None:
            return reference.payload, parts
        return bytes(parts[0]), parts[1:]

    def fill(self, reference: SegmentRef, at: int, part: memoryview) -> None:
        """Write into a segment whose owner has left it open for that; it is not filled anew in the meantime.

        Raises
        ------
        ValueReleased
            When the owner has given it up.
        OSError
            When the file system is full.
        """
        if not 0 <= at <= reference.end - part.nbytes:
            raise NBClusterError(f"{part.nbytes} bytes at {at} are beyond the end of {reference.name}")
        fd = self._open(reference, os.O_RDWR)
        try:
            write_all(fd, part, HEADER + at)
        finally:
            os.close(fd)

    def _map(self, reference: SegmentRef) -> list[memoryview]:
        fd = self._open(reference)
        try:
            if is_scarce(fd):
                return _read(fd, reference)
            mapped = memoryview(mmap.mmap(fd, HEADER + reference.end, access=mmap.ACCESS_COPY))
        except (OSError, ValueError) as error:
            raise NBClusterError(
                f"{reference.nbytes} bytes of shared memory cannot be mapped here: {error}"
            ) from error
        finally:
            os.close(fd)  # the mapping has a duplicate, and with it the lock
        return [
            mapped[HEADER + offset : HEADER + offset + length] if length else memoryview(bytearray())
            for offset, length in reference.spans
        ]

    def _open(self, reference: SegmentRef, access: int = os.O_RDONLY) -> int:
        """Open and lock a segment that still holds what a reference means, here or where it was spilled to.

        Who spills it lets go of it here only when it is whole there, so in this order it is found in one of them.
        """
        try:
            return self._open_here(reference, access)
        except ValueReleased:
            if self.spilled is None:
                raise
            return self.spilled._open_here(reference, access)

    def file_of(self, reference: SegmentRef) -> str:
        """Return the name of the file in which a reference's parts are."""
        return reference.name

    def _open_here(self, reference: SegmentRef, access: int) -> int:
        if not _NAME.fullmatch(reference.name):
            raise NBClusterError(
                f"a message names {reference.name!r}, which cannot be a segment of this cluster; it was not opened"
            )
        gone = f"the shared memory {reference.name} of a value was let go; hold its Future as long as it is needed"
        try:
            fd = os.open(
                self.file_of(reference),
                access | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK,
                dir_fd=self._fd,
            )
        except FileNotFoundError:
            raise ValueReleased(gone) from None
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise NBClusterError(
                    "a value cannot be mapped, because this process has too many files open: each large value "
                    "that it holds takes one; hold fewer, or raise the limit (ulimit -n)"
                ) from error
            raise NBClusterError(
                f"the segment {reference.name} cannot be opened: {error.strerror}"
            ) from error
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
                raise NBClusterError(f"{reference.name} is no segment of this cluster")
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if os.pread(fd, NONCE, 0) != reference.nonce or found.st_size < HEADER + reference.end:
                raise ValueReleased(gone)
        except BlockingIOError:  # it is being filled with something else
            os.close(fd)
            raise ValueReleased(gone) from None
        except NBClusterError:
            os.close(fd)
            raise
        return fd


def is_scarce(fd: int) -> bool:
    """Whether three quarters of the files that this process may have open are open, as the newest one tells."""
    return fd >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 3 // 4


def _read(fd: int, reference: SegmentRef) -> list[memoryview]:
    """Copy what would be mapped: a mapping takes a descriptor."""
    whole = memoryview(bytearray(reference.end))
    at = 0
    while at < len(whole):
        came = os.preadv(fd, [whole[at:]], HEADER + at)
        if not came:
            raise NBClusterError(f"the shared memory {reference.name} ended before its value did")
        at += came
    return [whole[offset : offset + length] for offset, length in reference.spans]


class SpillDirectory(SharedDirectory):
    """The segments of one cluster that had to leave memory, on a disk of this host.

    A file there is what the segment was, byte for byte, so that a reference means the same in both places.
    """

    def file_of(self, reference: SegmentRef) -> str:
        """Return the name of the file in which a reference's parts are."""
        return f"{reference.name}-{reference.nonce.hex()}"


class Hold:
    """Keeps a segment as it is while this object lives."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """The descriptor of the segment, for reading."""
        return self._fd

    def __del__(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)


class NothingShared:
    """Stands for the directory of a cluster that shares no memory with this process."""

    def opened(self, payload: bytes, buffers: Sequence[Buffer] = ()) -> tuple[bytes, Sequence[Buffer]]:
        """Return a pickle and its buffers, as they came.

        Raises
        ------
        NBClusterError
            When they lie in shared memory.
        """
        if reference_in(payload) is not None:
            raise NBClusterError(
                "a value came as a reference to shared memory, and this process shares none with the cluster"
            )
        return payload, buffers


def sizes(path: str) -> Counter[str]:
    """Return the bytes of segments by their owners."""
    found: Counter[str] = Counter()
    with suppress(FileNotFoundError), os.scandir(path) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                owner = entry.name.partition("-")[0]
                found[owner] += entry.stat(follow_symlinks=False).st_blocks * 512
    return found


def sweep(path: str, is_alive: Sequence[str] | set[str]) -> list[str]:
    """Unlink the segments of owners that are gone, unless somebody holds them; return their names."""
    swept = []
    with suppress(FileNotFoundError), os.scandir(path) as entries:
        names = [entry.name for entry in entries if _FILE.fullmatch(entry.name)]
        for name in names:
            if name.partition("-")[0] in is_alive:
                continue
            file = os.path.join(path, name)
            with suppress(OSError):
                fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(file)
                    swept.append(name)
                finally:
                    os.close(fd)
    return swept

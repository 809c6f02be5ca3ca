"""The parent of a cluster's processes on one host: starts, signals, reaps and reports. Decides nothing.

Run as `python -m nbcluster.engine.supervisor` with one line of JSON on stdin: {"name", "directory",
"controller": "module:function", "options", "cleanup", "directories", "lock"}. It forks the controller, warms itself
up, and then starts what the controller asks for over a socket (see protocol.supervision). It has one thread, no event
loop and no zmq context, since engines are forked from it. When the controller ends,
every process ends, and the directories and the files in "cleanup" are removed; the latter only while the
file "lock", where one is named, can be locked: else another cluster has them by now.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, assert_never

from msgspec import DecodeError, json

from nbcluster.engine import children, lifeline, warmup
from nbcluster.engine.boot_controller import become_controller
from nbcluster.protocol.supervision import (
    Exited,
    FromSupervisor,
    Signal,
    Spawn,
    Spawned,
    SpawnFailed,
    decode_order,
    encode_line,
)

GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL for engines when a cluster ends."""

CONTROLLER_GRACE = 10.0
"""Seconds that a controller has to end after SIGTERM."""

LAST_WORDS = 4000
"""Characters of the log that a failed start hands to whoever waits for the controller."""


def is_forking() -> bool:
    """Whether processes are forked from this one; otherwise each is a new interpreter."""
    return sys.platform.startswith("linux") and os.environ.get("NBCLUSTER_START_METHOD") != "exec"


class Supervisor:
    """The processes of one host and the socket to the controller.

    Parameters
    ----------
    config : dict
        What came on stdin.
    ready : BinaryIO
        The pipe on which a client waits for the controller's first word.
    """

    def __init__(self, config: dict[str, Any], ready: BinaryIO) -> None:
        self._config = config
        self._ready = ready
        self._children: dict[str, int] = {}
        self._forking = is_forking()
        self._terminated = False
        self._received = b""
        self._socket, self._controllers_end = socket.socketpair()
        self._lifeline_read, self._lifeline_write = os.pipe()
        self._wake_read, self._wake_write = os.pipe()
        self._before_exec = lifeline.end_with_parent()
        for fd in (self._wake_read, self._wake_write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for signum in children.HANDLED:
            signal.signal(signum, self._on_signal)
        self._controller = self._start_controller()
        self._controllers_end.close()

    def _on_signal(self, signum: int, frame: object) -> None:
        if signum == signal.SIGTERM:
            self._terminated = True

    # -- the controller ----------------------------------------------------------------------

    def _start_controller(self) -> int:
        if not self._forking:
            return self._exec_controller()
        # Its modules are imported here, where the engines' copies of them are shared with it.
        importlib.import_module(self._config["controller"].partition(":")[0])
        with children.signals_held():
            pid = os.fork()
            if pid == 0:
                children.reset_signals()
                gc.enable()
                self._socket.close()
                for fd in (self._wake_read, self._wake_write, self._lifeline_read):
                    os.close(fd)
                # The write end of the lifeline stays open as long as this process lives.
                config, end, ready = self._config, self._controllers_end, self._ready
                raise children.Become(lambda: become_controller(config, end, ready))
        return pid

    def _exec_controller(self) -> int:
        fds = (self._controllers_end.fileno(), self._ready.fileno(), self._lifeline_write)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "nbcluster.engine.boot_controller", *map(str, fds)],
            stdin=subprocess.PIPE,
            pass_fds=fds,
        )
        assert process.stdin is not None
        process.stdin.write(json.encode(self._config) + b"\n")
        process.stdin.close()
        process.returncode = 0  # reaped by us, not by its Popen
        return process.pid

    # -- serving -----------------------------------------------------------------------------

    def serve(self) -> int:
        """Do what the controller asks until it has ended, then end everything; return its exit code."""
        if self._forking:
            warmup.warm_up()
        told_at: float | None = None
        watched: list[socket.socket | int] = [self._socket, self._wake_read]
        while (end := children.reap(self._controller, group=False)) is None:
            if self._terminated and told_at is None:
                told_at = time.monotonic()
                children.send_signal(self._controller, signal.SIGTERM, group=False)
            wait = None if told_at is None else max(0.0, told_at + CONTROLLER_GRACE - time.monotonic())
            readable = select.select(watched, (), (), wait)[0]
            if wait == 0.0:
                children.send_signal(self._controller, signal.SIGKILL, group=False)
            self._drain_wakeups()
            self._report_ended()
            if self._socket in readable and not self._serve_orders():
                watched.remove(self._socket)
        code = end.code if end.code is not None else 128 + (end.signum or 0)
        if code and not self._ready.closed:
            self._hand_on_last_words(code)
        return code

    def _drain_wakeups(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._wake_read, 4096):
                pass

    def _serve_orders(self) -> bool:
        """Serve what has arrived; False when the controller has closed its end."""
        try:
            arrived = self._socket.recv(1 << 16)
        except ConnectionError:
            arrived = b""
        if arrived and not self._ready.closed:
            self._ready.close()  # the controller is up and speaks for itself
        *lines, self._received = (self._received + arrived).split(b"\n")
        for line in lines:
            try:
                order = decode_order(line)
            except DecodeError:
                sys.stderr.write(f"the supervisor cannot read this order: {line[:500]!r}\n")
                sys.stderr.flush()
                continue
            self._perform(order)
        return bool(arrived)

    def _perform(self, order: Spawn | Signal) -> None:
        match order:
            case Spawn():
                self._spawn(order)
            case Signal():
                pid = self._children.get(order.key)
                if pid is not None:
                    with suppress(
                        OSError, OverflowError
                    ):  # a wrong number must not end all that depends on us
                        children.send_signal(pid, order.signum, group=order.group)
            case _:
                assert_never(order)

    def _spawn(self, order: Spawn) -> None:
        if order.key in self._children:
            self._report(SpawnFailed(order.key, f"a process with the key {order.key!r} runs already"))
            return
        try:
            if order.fork and self._forking:
                pid = children.fork_engine(order, self._lifeline_read, self._forget)
            else:
                pid = children.exec_process(order, self._lifeline_read, self._before_exec)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._report(SpawnFailed(order.key, f"{order.argv[0] if order.argv else '?'}: {error}"))
            return
        self._children[order.key] = pid
        self._report(Spawned(order.key, pid))

    def _forget(self) -> None:
        """Close, in a new child, the objects that own descriptors."""
        self._socket.close()
        self._ready.close()

    def _report_ended(self) -> None:
        for key, pid in list(self._children.items()):
            end = children.reap(pid, group=True)
            if end is not None:
                del self._children[key]
                self._report(Exited(key, pid, end.code, end.signum))

    def _report(self, report: FromSupervisor) -> None:
        # A controller that is gone cannot be told; serve() sees its end next.
        with suppress(ConnectionError):
            self._socket.sendall(encode_line(report))

    # -- the end -----------------------------------------------------------------------------

    def end_children(self) -> None:
        """End every process: SIGTERM, after a grace time SIGKILL, and wait until all are reaped."""
        for pid in self._children.values():
            children.send_signal(pid, signal.SIGTERM, group=True)
        until = time.monotonic() + GRACE
        killed = False
        while self._children:
            select.select([self._wake_read], (), (), None if killed else max(0.0, until - time.monotonic()))
            self._drain_wakeups()
            self._report_ended()
            if not killed and time.monotonic() >= until:
                killed = True
                for pid in self._children.values():
                    children.send_signal(pid, signal.SIGKILL, group=True)

    def _hand_on_last_words(self, code: int) -> None:
        with suppress(OSError):
            log = (Path(self._config["directory"]) / "supervisor.log").read_text(errors="replace")
            words = {"error": f"the controller ended with code {code}:\n{log[-LAST_WORDS:]}"}
            self._ready.write(json.encode(words) + b"\n")
            self._ready.flush()


def remove_traces(directory: str, files: Iterable[str], lock: str | None) -> None:
    """Remove a cluster's directory, and its files unless a cluster holds the lock."""
    shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError), _held(lock):
        for file in files:
            with suppress(OSError):
                os.unlink(file)


@contextmanager
def _held(lock: str | None) -> Iterator[None]:
    """Hold a lock and remove its file at the end; BlockingIOError when another process holds it."""
    if lock is None:
        yield
        return
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
        os.unlink(lock)
    finally:
        os.close(descriptor)


def supervise(config: dict[str, Any], ready: BinaryIO) -> int:
    """Run a cluster's processes to their end. In a child that was forked on the way, raises `Become`."""
    supervisor: Supervisor | None = None
    try:
        supervisor = Supervisor(config, ready)
        code = supervisor.serve()
    except Exception:  # whatever went wrong here, the processes must end and their files go
        code = 1
        traceback.print_exc()
        with suppress(OSError, ValueError):
            words = {"error": f"the supervisor failed:\n{traceback.format_exc()[-LAST_WORDS:]}"}
            ready.write(json.encode(words) + b"\n")
            ready.flush()
    if supervisor is not None:
        supervisor.end_children()
    for path in config.get("directories", ()):
        shutil.rmtree(path, ignore_errors=True)
    remove_traces(config["directory"], config.get("cleanup", ()), config.get("lock"))
    return code


def main() -> int:
    """Run as a program: the supervisor first, and in forked children what they become."""
    gc.disable()  # nothing is garbage while modules are imported
    if not sys.flags.safe_path:
        del sys.path[0]  # the directory that -m put there: the user's, where any module may be shadowed
    os.environ.pop("JPY_PARENT_PID", None)
    with suppress(PermissionError):
        os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    config = json.decode(sys.stdin.buffer.readline())
    ready = os.fdopen(os.dup(1), "wb")
    log = children.open_log(os.path.join(config["directory"], "supervisor.log"))
    children.point_standard_streams(log)
    os.close(log)
    life: Callable[[], int]
    try:
        return supervise(config, ready)
    except children.Become as child:
        life = child.life
    return life()


if __name__ == "__main__":
    sys.exit(main())

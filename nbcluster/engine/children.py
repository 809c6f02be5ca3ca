"""Starts processes by fork or exec, signals them and reaps them. Knows no messages and no cluster.

A fork returns twice: in the child the exception `Become` unwinds the parent's stack, so that the
child leaves all frames of the supervisor behind and ends like a program of its own.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from nbcluster.engine import lifeline
from nbcluster.engine.boot import become_engine
from nbcluster.protocol.supervision import Spawn

HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that a supervisor handles and its children must not."""


class Become(BaseException):
    """This process is a new child; `life` is what it shall do, and returns its exit code."""

    def __init__(self, life: Callable[[], int]) -> None:
        super().__init__()
        self.life = life


@dataclass(frozen=True)
class Ended:
    """A child that was reaped: its exit code, or the signal that ended it."""

    pid: int
    code: int | None
    signum: int | None


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold the handled signals back, so that none is lost in a child that has not reset them yet."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def reset_signals() -> None:
    """Give a new child the signal handling of a fresh Python process."""
    signal.set_wakeup_fd(-1)
    for signum in HANDLED:
        signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def open_log(path: str) -> int:
    """Open a log for appending, readable by its owner alone."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def point_standard_streams(log: int) -> None:
    """Make `log` stdout and stderr, and nothing stdin."""
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for fd, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(fd, target)
    os.close(null)


def close_all_but(kept: int) -> None:
    """Close every descriptor but the standard ones and `kept`."""
    last = os.sysconf("SC_OPEN_MAX")
    os.closerange(3, kept)
    os.closerange(kept + 1, last)


def fork_engine(order: Spawn, lifeline_fd: int, forget: Callable[[], None]) -> int:
    """Fork a Python engine from this warmed process.

    Parameters
    ----------
    order : Spawn
        What to start.
    lifeline_fd : int
        Read end of the lifeline.
    forget : callable
        Closes the Python objects of this process that own descriptors, so that none closes
        a descriptor of the child later.

    Returns
    -------
    int
        The process id, in the parent. The child raises `Become`.
    """
    if order.cwd and not os.path.isdir(order.cwd):
        raise FileNotFoundError(f"the working directory {order.cwd!r} does not exist")
    log = open_log(order.log)
    with signals_held():
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                reset_signals()
                point_standard_streams(log)
                forget()
                close_all_but(lifeline_fd)
            except OSError:
                os._exit(1)  # never go on as a second supervisor
            raise Become(lambda: _live_as_engine(order, lifeline_fd))
    os.close(log)
    return pid


def _live_as_engine(order: Spawn, lifeline_fd: int) -> int:
    # The module random seeds itself anew after a fork; nothing else with a seed is imported here.
    gc.enable()
    for name, value in order.env.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if order.cwd:
        os.chdir(order.cwd)
    sys.path[:0] = order.path
    return become_engine(order.argv, lifeline_fd)


def exec_process(order: Spawn, lifeline_fd: int, before_exec: Callable[[], None] | None) -> int:
    """Start a program: another kernel, or a Python engine where engines are not forked."""
    environment = _environment(order.env)
    argv = list(order.argv)
    if order.fork:
        argv = [sys.executable, "-P", "-m", "nbcluster.engine.boot", *argv]
        environment[lifeline.VARIABLE] = str(lifeline_fd)
        environment["NBCLUSTER_PATH"] = os.pathsep.join(order.path)
    log = open_log(order.log)
    try:
        # The supervisor has one thread, so that running Python between fork and exec is safe.
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=order.cwd or None,
            start_new_session=True,
            pass_fds=(lifeline_fd,) if order.fork else (),
            preexec_fn=None if order.fork else before_exec,
        )
    finally:
        os.close(log)
    process.returncode = 0  # it is reaped by `reap`, not by its Popen
    return process.pid


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**os.environ, **{name: value for name, value in changes.items() if value is not None}}
    return {name: value for name, value in merged.items() if changes.get(name, "") is not None}


def send_signal(pid: int, signum: int, *, group: bool) -> None:
    """Signal a child that was not reaped yet, or its process group."""
    if group:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signum)
            return
    # Without a group of its own it has been forked a moment ago, or is a zombie.
    with suppress(ProcessLookupError):
        os.kill(pid, signum)


def reap(pid: int, *, group: bool) -> Ended | None:
    """Reap a child if it has ended, and kill what it left in its process group; None while it lives."""
    if group and hasattr(os, "waitid"):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        # As long as it is a zombie its number cannot be anybody else's group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    found, status = os.waitpid(pid, os.WNOHANG)
    if found == 0:
        return None
    if os.WIFSIGNALED(status):
        return Ended(pid, None, os.WTERMSIG(status))
    return Ended(pid, os.waitstatus_to_exitcode(status), None)

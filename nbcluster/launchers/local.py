"""Starts engines on the controller's own host, as children of its supervisor. Knows no kernels."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from signal import Signals
from typing import assert_never

from nbcluster.launchers.base import Command, Host, ProcessEnded, ProcessStarted, Report, Supervisor
from nbcluster.protocol.supervision import Exited, FromSupervisor, Signal, Spawn, Spawned, SpawnFailed


class LocalLauncher:
    """The launcher ``local``."""

    def __init__(self, supervisor: Supervisor, report: Report) -> None:
        self._supervisor = supervisor
        self._report = report
        self._keys: set[str] = set()
        supervisor.subscribe(self._heard)

    def choose_host(self, key: str, env: Mapping[str, str]) -> Host:
        """Say that it is this one."""
        return Host()

    def start(self, commands: Sequence[Command]) -> None:
        """Have the supervisor fork or execute each command."""
        for command in commands:
            self._keys.add(command.key)
            self._supervisor.send(
                Spawn(
                    command.key,
                    command.argv,
                    command.fork,
                    str(command.log),
                    command.env,
                    command.cwd,
                    command.path,
                )
            )

    def signal(self, key: str, signum: int, *, group: bool = False) -> None:
        """Have the supervisor send a signal; it knows which processes still live."""
        if key in self._keys:
            self._supervisor.send(Signal(key, signum, group))

    def _heard(self, report: FromSupervisor) -> None:
        if report.key not in self._keys:
            return
        match report:
            case Spawned(key, pid):
                self._report(ProcessStarted(key, pid, socket.gethostname()))
            case SpawnFailed(key, reason):
                self._keys.discard(key)
                self._report(ProcessEnded(key, f"could not be started: {reason}"))
            case Exited(key, _, code, signum):
                self._keys.discard(key)
                self._report(ProcessEnded(key, describe_exit(code, signum)))
            case _:
                assert_never(report)


def describe_exit(code: int | None, signum: int | None) -> str:
    """Say how a process ended, as a phrase that follows its name."""
    if signum is not None:
        try:
            return f"was killed by {Signals(signum).name}"
        except ValueError:
            return f"was killed by signal {signum}"
    if code is None:
        return "ended (exit code unknown)"
    return f"exited with code {code}"

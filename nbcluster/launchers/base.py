"""What a launcher is: few verbs, and a word when a process ends. Knows no engines and no kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol

from nbcluster.errors import LauncherError
from nbcluster.protocol.supervision import FromSupervisor, ToSupervisor

ENTRY_POINTS = "nbcluster.launchers"


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start. `fork` asks for a fork of the warmed supervisor where there is one."""

    key: str
    argv: tuple[str, ...]
    log: Path
    fork: bool = False
    env: dict[str, str | None] = field(default_factory=dict)
    cwd: str = ""
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessStarted:
    """A process runs on a host under a process id."""

    key: str
    pid: int
    host: str


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """A process ended, or never began. `cause` is a phrase: "exited with code 1", "was killed by SIGKILL"."""

    key: str
    cause: str


@dataclass(frozen=True, slots=True)
class Host:
    """Where a command will run: an address at which the controller reaches it, and whether that is its own host.

    `ports` are five that are free there, where the controller cannot look for some itself.
    """

    address: str = "127.0.0.1"
    is_here: bool = True
    ports: tuple[int, ...] = ()


Report = Callable[[ProcessStarted | ProcessEnded], None]


class Supervisor(Protocol):
    """The controller's way to the supervisor of its own host."""

    def send(self, order: ToSupervisor) -> None:
        """Give an order; reports come to whoever subscribed."""

    def subscribe(self, report: Callable[[FromSupervisor], None]) -> None:
        """Hear every report from now on."""


class Launcher(Protocol):
    """Starts processes somewhere. One instance serves one controller, on its loop.

    A plug-in is a class registered under the entry point group ``nbcluster.launchers``, made with the supervisor
    of the controller's host and a callback for what becomes of its processes. Each started command is followed by
    at most one ProcessStarted and exactly one ProcessEnded.
    """

    def __init__(self, supervisor: Supervisor, report: Report) -> None: ...

    def choose_host(self, key: str, env: Mapping[str, str]) -> Host:
        """Say where the command with this key and these variables will run, before it is put together."""

    def start(self, commands: Sequence[Command]) -> None:
        """Start processes; what becomes of them is reported."""

    def signal(self, key: str, signum: int, *, group: bool = False) -> None:
        """Send a signal to a process, or to its process group. Unknown keys are passed over."""


def load_launcher(name: str) -> type[Launcher]:
    """Find a launcher: by the name that a package registers, or a class that is named as "module:class".

    Raises
    ------
    LauncherError
        When no package registers it, or its package is broken.
    """
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in found and ":" in name:
        found[name] = EntryPoint(name, name, ENTRY_POINTS)
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise LauncherError(f"there is no launcher {name!r}; installed: {known}")
    try:
        launcher: type[Launcher] = found[name].load()
    except Exception as error:
        raise LauncherError(
            f"the launcher {name!r} ({found[name].value}) cannot be loaded: {error}"
        ) from error
    return launcher

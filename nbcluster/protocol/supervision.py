"""The messages between the controller and the supervisor of its host, as lines of JSON over a socket pair.

Knows no processes; the supervisor does them, the controller asks.
"""

from __future__ import annotations

from msgspec import Struct, json


class Spawn(Struct, frozen=True, tag=True):
    """Start a process under a key that the controller chose.

    `fork` starts a Python engine from the warmed supervisor itself with `argv` as the kernel application's
    arguments; otherwise `argv` is executed. `env` adds to the environment, None removes. `log` receives
    stdout and stderr.
    """

    key: str
    argv: tuple[str, ...]
    fork: bool
    log: str
    env: dict[str, str | None] = {}
    cwd: str = ""
    path: tuple[str, ...] = ()


class Signal(Struct, frozen=True, tag=True):
    """Send a signal to the process, or to its whole process group."""

    key: str
    signum: int
    group: bool = False


class Spawned(Struct, frozen=True, tag=True):
    """The process runs."""

    key: str
    pid: int


class SpawnFailed(Struct, frozen=True, tag=True):
    """The process could not be started."""

    key: str
    reason: str


class Exited(Struct, frozen=True, tag=True):
    """The process ended, with an exit code or by a signal."""

    key: str
    pid: int
    code: int | None
    signum: int | None


ToSupervisor = Spawn | Signal
FromSupervisor = Spawned | SpawnFailed | Exited

_encoder = json.Encoder()


def encode_line(message: ToSupervisor | FromSupervisor) -> bytes:
    """One message as one line."""
    return _encoder.encode(message) + b"\n"


decode_order = json.Decoder(ToSupervisor).decode
decode_report = json.Decoder(FromSupervisor).decode

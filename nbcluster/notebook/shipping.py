"""Sends along what a cell reads, its engines lack and the notebook has. Knows no magics and no display."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from nbcluster.errors import EngineErrors, NBClusterError
from nbcluster.notebook.labels import engines_phrase
from nbcluster.notebook.reads import names_read

PATIENCE = 2.0
"""Seconds that an engine has to say what it has; one that is silent is taken to lack everything."""

SAID_FROM = 4 << 10
"""Bytes from which on it is said how large a value is: numbers and most functions are smaller."""

_IPYTHONS = re.compile(r"_+|_i+|_i?\d+|_[dio]h|In|Out|get_ipython|exit|quit")


@dataclass(frozen=True)
class Parcel:
    """A value for those engines that lack it, or have an older one."""

    name: str
    value: Any
    digest: str
    nbytes: int
    engines: tuple[int, ...]


@dataclass
class Shipment:
    """What one cell gets, and what stays behind, with the reason."""

    parcels: list[Parcel] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    def told(self) -> list[str]:
        """Return in a line for each group of engines what was sent and how much, and what was not and why."""
        by_engines: dict[tuple[int, ...], list[str]] = {}
        for parcel in self.parcels:
            by_engines.setdefault(parcel.engines, []).append(_sized(parcel))
        lines = [
            f"shipped {_listed(names)} to {engines_phrase(engines)}" for engines, names in by_engines.items()
        ]
        return [*lines, *(f"not shipped: {reason}" for reason in self.left.values())]


def names_wanted(code: str, user_ns: Mapping[str, Any], hidden: Mapping[str, Any]) -> list[str]:
    """Return the names that a cell reads and the notebook has, without IPython's own.

    Parameters
    ----------
    code : str
        After IPython's transform.
    user_ns, hidden : mapping
        The shell's names, and those that IPython has put among them.
    """
    return [
        name
        for name in names_read(code)
        if name in user_ns
        and not _IPYTHONS.fullmatch(name)
        and not (name in hidden and hidden[name] is user_ns[name])
    ]


def plan(
    names: Sequence[str], user_ns: Mapping[str, Any], known: Mapping[int, Mapping[str, str]]
) -> Shipment:
    """Choose what goes where.

    Parameters
    ----------
    names : sequence of str
    user_ns : mapping
        The notebook's values.
    known : mapping
        For each engine the names that it has, with the digest of what was shipped and is still there, "" for what
        was bound by something else.
    """
    from nbcluster.payload.values import dump_value

    shipment = Shipment()
    for name in names:
        # What something else has bound there stays.
        lacking = [number for number, has in known.items() if name not in has or has[name]]
        if not lacking:
            continue
        try:
            dumped = dump_value(user_ns[name], what=repr(name))
        except Exception as error:
            shipment.left[name] = _first_line(error)
            continue
        digest = _digest(dumped.payload, (buffer.raw() for buffer in dumped.buffers))
        engines = tuple(number for number in sorted(lacking) if known[number].get(name) != digest)
        if engines:
            shipment.parcels.append(Parcel(name, user_ns[name], digest, dumped.nbytes, engines))
    return shipment


def send(shipment: Shipment, lane: Callable[[str], Any]) -> list[tuple[str, Any]]:
    """Send it; return the name and the Future of each value.

    Parameters
    ----------
    shipment : Shipment
    lane : callable
        Gives what is done on each of some engines, by targets.
    """
    sent = []
    kept = []
    for parcel in shipment.parcels:
        try:
            each = lane(",".join(map(str, parcel.engines)) + ",")
            sent.append((parcel.name, each.ship(parcel.name, parcel.value, parcel.digest)))
            kept.append(parcel)
        except NBClusterError as error:
            shipment.left[parcel.name] = _first_line(error)
    shipment.parcels = kept
    return sent


def failures(sent: Iterable[tuple[str, Any]]) -> list[str]:
    """Return a line for each value that has arrived and could not be bound."""
    lines = []
    for name, future in sent:
        error = future.exception(0) if future.done() else None
        if error is not None:
            errors = error.errors if isinstance(error, EngineErrors) else {}
            reason = _first_line(next(iter(errors.values()), error))
            where = f" on {engines_phrase(sorted(errors))}" if errors else ""
            lines.append(f"{name} did not arrive{where}: {reason}")
    return lines


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _sized(parcel: Parcel) -> str:
    from nbcluster.payload.sizes import readable

    return parcel.name if parcel.nbytes < SAID_FROM else f"{parcel.name} ({readable(parcel.nbytes)})"


def _first_line(error: BaseException) -> str:
    return f"{error}".strip().partition("\n")[0] or type(error).__name__


def _digest(payload: bytes, buffers: Iterable[Any]) -> str:
    found = blake2b(payload, digest_size=16)
    for buffer in buffers:
        found.update(buffer)
    return found.hexdigest()

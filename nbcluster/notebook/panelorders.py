"""Reads what people do in the launcher into the orders of %cluster. Knows no cluster and no page.

A page may send anything: what cannot be meant is a UsageError whose text is shown there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbcluster.errors import UsageError
from nbcluster.notebook.clustergrammar import Add, Connect, Interrupt, Restart, Scale, Start, Stop

MOST_ENGINES = 10_000
"""Engines that can be asked for by a form."""


@dataclass(frozen=True)
class Confirm:
    """Do what was asked about."""


@dataclass(frozen=True)
class Dismiss:
    """Do not do it; take a message away."""


@dataclass(frozen=True)
class See:
    """A view of the page is seen now, or no more."""

    view: str
    on: bool


PanelOrder = Start | Connect | Add | Scale | Restart | Interrupt | Stop | Confirm | Dismiss | See


def read_see(content: Mapping[str, Any]) -> See | None:
    """Whether a view says that it is seen; None for anything else, where nothing else can be done."""
    try:
        order = read_order(content)
    except UsageError:
        return None
    return order if isinstance(order, See) else None


def read_order(content: Mapping[str, Any]) -> PanelOrder:
    """Read one message of the page.

    Raises
    ------
    UsageError
        For what cannot be meant.
    """
    match content.get("do"):
        case "start":
            name = _text(content, "name")
            if not name:
                raise UsageError("a cluster needs a name: letters, digits, dots, hyphens and underscores")
            return Start(
                _count(content), name, _text(content, "launcher"), _text(content, "kernel"), _tags(content)
            )
        case "connect":
            return Connect(_text(content, "name"))
        case "add":
            return Add(_count(content), _text(content, "kernel"), _tags(content), _text(content, "launcher"))
        case "scale":
            return Scale(_count(content))
        case "restart":
            return Restart(str(_engine(content)))
        case "interrupt":
            return Interrupt(str(_engine(content)))
        case "stop":
            return Stop()
        case "confirm":
            return Confirm()
        case "dismiss":
            return Dismiss()
        case "see":
            return See(_text(content, "view"), content.get("on") is True)
        case other:
            raise UsageError(f"the launcher has no command {str(other)[:40]!r}")


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    return value.strip() if isinstance(value, str) else ""


def _count(content: Mapping[str, Any]) -> int:
    text = _text(content, "n")
    if not (text.isascii() and text.isdecimal() and int(text[:9]) <= MOST_ENGINES and len(text) < 9):
        raise UsageError(f"{text[:40]!r} engines cannot be: write a number from 0 to {MOST_ENGINES:,}")
    return int(text)


def _engine(content: Mapping[str, Any]) -> int:
    text = _text(content, "engine")
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"there is no engine {text[:40]!r}")
    return int(text)


def _tags(content: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_text(content, "tags").replace(",", " ").split()))

"""The grammar of targets: text to parts, parts to engine numbers. Knows engines, knows nothing of tasks.

A number is always an engine's own number, never a position: with engines 0, 1 and 5, `-1` is 5, `-2` is 4
(which does not exist) and `-2:` is 5 alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from operator import index
from typing import Any, assert_never

from msgspec import Struct

from nbcluster.core.model import Engine, EngineState, language_of, takes_tasks
from nbcluster.errors import EngineLost, NoEngines, UnknownTarget, UsageError
from nbcluster.ids import EngineNumber

_NUMBER = re.compile(r"-?[0-9]+")
_LOOKS_LIKE_A_NUMBER = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?(e[-+]?[0-9]+)?", re.IGNORECASE)
_RANGE = re.compile(r"([0-9]+)-([0-9]+)")
_NAME = re.compile(r"\w[\w.+#@/-]*")
_RESERVED = ("any", "all")
_HELP = "write engine numbers (0), slices (0:2), tags, hosts, kernels, languages (with commas), all or any"


class Default(Struct, frozen=True):
    """Every engine of the client's language."""


class Every(Struct, frozen=True):
    """Every engine."""


class AnyOne(Struct, frozen=True):
    """One engine of the client's language, chosen by the scheduler."""


class Number(Struct, frozen=True):
    """One engine by its number; negative counts from the highest number."""

    number: int


class Span(Struct, frozen=True):
    """A slice over the numbers; those that do not exist are skipped."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None


class Name(Struct, frozen=True):
    """A tag, or the name of a host, a kernel or a language."""

    name: str


Part = Default | Every | AnyOne | Number | Span | Name


class Targets(Struct, frozen=True):
    """Well-formed targets; whether they exist is known when they are resolved."""

    text: str
    parts: tuple[Part, ...]
    listed: bool = False
    """Written as a list, if only of one ("0,")."""

    @property
    def single(self) -> bool:
        """Whether they mean one engine, so that results come bare and not by number."""
        return not self.listed and isinstance(self.parts[0], Number | AnyOne)

    @property
    def any(self) -> bool:
        """Whether the scheduler chooses the engine."""
        return isinstance(self.parts[0], AnyOne)


def parse(text: str) -> Targets:
    """Read targets.

    Parameters
    ----------
    text : str
        "" for the default; "all"; "any"; numbers "0", "-1"; slices "2:4", "::2"; tags, hosts, kernels and
        languages; or several of these with commas between. A comma at the end makes a list of one.

    Returns
    -------
    Targets

    Raises
    ------
    UsageError
        When the text cannot be targets.

    Examples
    --------
    >>> parse("0, 2:4").single
    False
    """
    stripped = text.strip()
    if not stripped:
        return Targets("", (Default(),))
    listed = "," in stripped
    items = [item.strip() for item in stripped.removesuffix(",").split(",")]
    if "" in items:
        raise UsageError(f"the targets {stripped!r} have nothing between two commas; {_HELP}")
    parts = tuple(_parse_item(item, stripped) for item in items)
    if listed and any(isinstance(part, AnyOne) for part in parts):
        raise UsageError(
            f"the targets {stripped!r} mix 'any' with others; 'any' means one engine and stands alone"
        )
    return Targets(stripped, parts, listed)


def _parse_item(item: str, text: str) -> Part:
    if item == "all":
        return Every()
    if item == "any":
        return AnyOne()
    if _NUMBER.fullmatch(item):
        return Number(int(item))
    if ":" in item:
        return _parse_span(item)
    if " " in item or "\t" in item:
        raise UsageError(f"the targets {text!r} need commas: {', '.join(text.replace(',', ' ').split())}")
    if span := _RANGE.fullmatch(item):
        raise UsageError(
            f"{item!r} is no slice: write {span[1]}:{int(span[2]) + 1}, the end is not part of it"
        )
    if _LOOKS_LIKE_A_NUMBER.fullmatch(item):
        raise UsageError(f"{item!r} is no engine number: they are whole numbers such as 0 or -1")
    if not _NAME.fullmatch(item):
        raise UsageError(f"{item!r} cannot be a target; {_HELP}")
    return Name(item)


def _parse_span(item: str) -> Span:
    bounds = [bound.strip() for bound in item.split(":")]
    if len(bounds) > 3 or any(bound and not _NUMBER.fullmatch(bound) for bound in bounds):
        raise UsageError(
            f"{item!r} is no slice of engine numbers: write start:stop or start:stop:step, such as 0:2"
        )
    numbers = [int(bound) if bound else None for bound in bounds]
    if len(numbers) == 3 and numbers[2] == 0:
        raise UsageError(
            f"the slice {item!r} has step 0: it would never end; write {item[: item.rindex(':')]}"
        )
    return Span(*numbers)


def from_python(key: Any) -> str:
    """Turn the key of a view into text.

    Parameters
    ----------
    key : int, slice, str, or list of these
        What stands between the brackets of ``cluster[...]``.

    Returns
    -------
    str
        The same targets in the grammar of `parse`.

    Raises
    ------
    UsageError
        When the key is of another type, or its text is malformed.

    Examples
    --------
    >>> from_python([0, 3])
    '0,3'
    >>> from_python(slice(None))
    ':'
    """
    if isinstance(key, str):
        return parse(key).text
    if hasattr(key, "tolist"):  # an array's own way to plain numbers; numpy itself is not needed for it
        key = key.tolist()
    if not isinstance(key, list | tuple | range):
        return _text_of_item(key)
    if not key:
        raise UsageError("an empty list of engines means no engine; use cluster[:] for every engine")
    text = ",".join(_text_of_item(item) for item in key)
    return parse(text if "," in text else text + ",").text


def _text_of_item(item: Any) -> str:
    if isinstance(item, str):
        return parse(item).text
    if isinstance(item, slice):
        bounds = [item.start, item.stop] + ([] if item.step is None else [item.step])
        return parse(":".join("" if bound is None else _text_of_integer(bound) for bound in bounds)).text
    return _text_of_integer(item)


def _text_of_integer(value: Any) -> str:
    try:
        if isinstance(value, bool):
            raise TypeError("True and False are no engine numbers")
        return str(index(value))
    except TypeError as error:
        raise UsageError(
            f"only integers, slices (`:`), tags and lists of these are valid for cluster[...], "
            f"not {type(value).__name__} {value!r}"
        ) from error


def check_tags(tags: Sequence[str]) -> None:
    """Refuse tags that a target could not name.

    Raises
    ------
    UsageError
        For an empty tag, `any`, `all`, what looks like a number, and what the grammar cannot hold.
    """
    for tag in tags:
        if tag in _RESERVED:
            raise UsageError(f"{tag!r} cannot be a tag: as a target it means {_RESERVED_MEANS[tag]}")
        if (
            not tag
            or not _NAME.fullmatch(tag)
            or _RANGE.fullmatch(tag)
            or _LOOKS_LIKE_A_NUMBER.fullmatch(tag)
        ):
            raise UsageError(
                f"{tag!r} cannot be a tag: a tag begins with a letter, does not look like a number, and "
                "holds letters, digits and . _ + # @ / -"
            )


_RESERVED_MEANS = {"any": "one engine that the scheduler chooses", "all": "every engine"}


def resolve(
    targets: Targets, engines: Iterable[Engine], language: str, *, failed_too: bool = False
) -> tuple[EngineNumber, ...]:
    """Say which engines are meant now.

    Parameters
    ----------
    targets : Targets
    engines : iterable of Engine
        Every engine of the cluster.
    language : str
        The client's language, which the default and `any` mean.
    failed_too : bool
        Whether engines that have failed count: yes for orders that restart or remove, no for work.

    Returns
    -------
    tuple of EngineNumber
        In the order written, each once. For `any`, every engine that could be chosen.

    Raises
    ------
    UnknownTarget
        A number or a name that does not exist.
    EngineLost
        A number whose engine has failed or is being removed.
    NoEngines
        Nothing matches.
    """
    present = {engine.number: engine for engine in sorted(engines, key=lambda engine: engine.number)}
    found: dict[EngineNumber, None] = {}
    for part in targets.parts:
        matched = _match(part, present, language)
        if not matched and isinstance(part, Number | Name):
            raise _unknown(part, present)
        if isinstance(part, Number):
            _refuse_dead(present[matched[0]], failed_too)
        found |= dict.fromkeys(number for number in matched if _counts(present[number], failed_too))
    if not found:
        raise _nothing(targets, present, language)
    return tuple(found)


def matches(targets: Targets, engine: Engine, engines: Iterable[Engine], language: str) -> bool:
    """Whether the targets, resolved now, would mean this engine among others. Never raises."""
    present = {other.number: other for other in engines}
    return any(engine.number in _match(part, present, language) for part in targets.parts)


def means(targets: Targets, engine: Engine, language: str) -> bool:
    """Whether targets mean an engine, whatever its state and whichever others there are. Not for positions."""
    assert not is_by_position(targets), f"which engines {targets.text!r} means depends on which there are"
    present = {engine.number: engine}
    return any(_match(part, present, language) for part in targets.parts)


def is_by_position(targets: Targets) -> bool:
    """Whether other engines that come or go can change which ones the numbers mean."""
    return any(
        isinstance(part, Span) or (isinstance(part, Number) and part.number < 0) for part in targets.parts
    )


def _match(part: Part, present: dict[EngineNumber, Engine], language: str) -> list[EngineNumber]:
    """The engines that a part means, whatever their state."""
    match part:
        case Default() | AnyOne():
            return [number for number, engine in present.items() if _same(language_of(engine), language)]
        case Every():
            return list(present)
        case Number(wanted):
            number = wanted if wanted >= 0 else _end(present) + wanted
            return [EngineNumber(number)] if number in present else []
        case Span(start, stop, step):
            numbers = range(*slice(start, stop, step).indices(_end(present)))
            return [EngineNumber(number) for number in numbers if number in present]
        case Name(name):
            return [number for number, engine in present.items() if _is_called(engine, name)]
        case _:
            assert_never(part)


def _end(present: dict[EngineNumber, Engine]) -> int:
    """One above the highest number; an engine that is being removed no longer counts for it."""
    staying = [number for number, engine in present.items() if engine.state is not EngineState.STOPPING]
    return max(staying, default=-1) + 1


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _is_called(engine: Engine, name: str) -> bool:
    kernel = engine.kernel or engine.spec.kernel
    return name in engine.spec.tags or any(
        _same(name, own) for own in (engine.host, kernel, language_of(engine)) if own
    )


def _counts(engine: Engine, failed_too: bool) -> bool:
    return takes_tasks(engine) or (failed_too and engine.state is EngineState.FAILED)


def _refuse_dead(engine: Engine, failed_too: bool) -> None:
    if _counts(engine, failed_too):
        return
    if engine.state is EngineState.STOPPING:
        raise EngineLost(f"engine {engine.number} is being removed and takes no more work")
    raise EngineLost(
        f"engine {engine.number} has failed ({engine.note or 'no reason is known'}); "
        f"`%cluster restart {engine.number}` starts it again"
    )


def _unknown(part: Number | Name, present: dict[EngineNumber, Engine]) -> UnknownTarget:
    staying = [engine for engine in present.values() if engine.state is not EngineState.STOPPING]
    numbers = ", ".join(str(engine.number) for engine in staying)
    if isinstance(part, Number):
        exist = f"there are engines {numbers}" if numbers else "the cluster has no engines"
        return UnknownTarget(f"there is no engine {part.number}; {exist}")
    names = sorted(
        {
            name
            for engine in staying
            for name in (
                *engine.spec.tags,
                engine.host,
                engine.kernel or engine.spec.kernel,
                language_of(engine),
            )
            if name
        }
    )
    folded = {name.casefold(): name for name in (*names, *_RESERVED)}
    close = get_close_matches(part.name.casefold(), folded, n=1)
    exist = f"engines {numbers} and {', '.join(names)}" if numbers else "no engines at all"
    if close:
        return UnknownTarget(
            f"no engine is called {part.name!r}; did you mean {folded[close[0]]!r}? There are {exist}"
        )
    return UnknownTarget(f"no engine is called {part.name!r}; there are {exist}")


def _nothing(targets: Targets, present: dict[EngineNumber, Engine], language: str) -> NoEngines:
    what = repr(targets.text) if targets.text else f"the default (every engine whose language is {language})"
    if not present:
        return NoEngines(f"{what} matches no engine: the cluster has none; `%cluster add 1` starts one")
    states = ", ".join(
        f"{engine.number} ({language_of(engine) or engine.spec.kernel}, {engine.state.value})"
        for engine in present.values()
    )
    return NoEngines(f"{what} matches no engine that could run it; the engines are {states}")

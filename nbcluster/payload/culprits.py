"""Finds what in a value cannot be pickled, and says where it sits. Knows no bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType
from typing import Any

from nbcluster.errors import NBClusterError, NotSerializable
from nbcluster.payload.pickling import captured_by, importable, is_namespace

_DEPTH = 60

_HINTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("lock", "RLock", "Condition", "Event", "Semaphore", "Barrier"),
        "make it in the function, on the engine",
    ),
    (
        ("Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor"),
        "make it in the function, on the engine",
    ),
    (
        ("TextIOWrapper", "BufferedReader", "BufferedWriter", "BufferedRandom", "FileIO"),
        "pass the file's path",
    ),
    (("socket", "Connection", "Cursor", "Engine"), "open the connection in the function, on the engine"),
    (("generator", "async_generator", "map", "filter", "zip"), "pass a list, or make it in the function"),
    (("coroutine",), "pass the coroutine function and its arguments: it is awaited on the engine"),
    (("Cluster", "AsyncCluster"), "use nbcluster.current_cluster() in the function"),
    (("frame", "traceback"), "pass its text"),
)


def not_serializable(
    thing: Any, what: str, error: Exception, dump: Callable[[Any], object]
) -> NBClusterError:
    """Return the error that names the innermost part of a thing that cannot be pickled.

    Parameters
    ----------
    thing : object
        What was to be pickled.
    what : str
        How to call it: "argument 'model'".
    error : Exception
        Why it could not be.
    dump : callable
        Pickles anything in the same way and throws the bytes away.
    """
    if isinstance(error, NBClusterError) and not isinstance(error, NotSerializable):
        return error
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return NotSerializable(
            f"{what}: a {type(thing).__name__} is nested too deeply to be pickled; "
            "flatten it, for instance into a list, or raise sys.setrecursionlimit()"
        )
    text, culprit = what, thing
    for _ in range(_DEPTH):
        found = _failing(culprit, dump)
        if found is None:
            break
        step, culprit, error = found
        text = _join(text, step)
    return NotSerializable(f"{text}: {_reason(culprit, error)}")


def _reason(culprit: Any, error: Exception) -> str:
    if isinstance(culprit, GeneratorType | AsyncGeneratorType | CoroutineType):
        kind = type(culprit).__name__.replace("_", " ")
        said = f"a {kind} cannot be pickled"
    elif isinstance(error, TypeError | NotSerializable) or type(error).__name__ == "PicklingError":
        said = str(error)
    else:
        said = f"a {type(culprit).__name__} cannot be pickled: {type(error).__name__}: {error}"
    names = {kind.__name__ for kind in type(culprit).__mro__}
    hint = next((advice for kinds, advice in _HINTS if names & set(kinds)), "")
    return f"{said}; {hint}" if hint else said


def _join(text: str, step: str) -> str:
    match step[0]:
        case "[" if text.endswith("]") or text.rpartition(" -> ")[2].startswith("."):
            return text + step
        case "[" | ".":
            return f"{text} -> {step}"
        case _:
            return (
                f"{text} {step}"
                if text.startswith("function ") and "->" not in text and "captures" not in text
                else f"{text}, which {step}"
            )


def _failing(thing: Any, dump: Callable[[Any], object]) -> tuple[str, Any, Exception] | None:
    """Return the first part that cannot be pickled by itself: how it is reached, the part, and why."""
    parts = list(_parts(thing))
    while len(parts) > 1:
        half = parts[: len(parts) // 2]
        parts = half if _why([part for _, part in half], dump) is not None else parts[len(half) :]
    if not parts or parts[0][1] is thing:
        return None
    step, part = parts[0]
    error = _why(part, dump)
    return None if error is None else (step, part, error)


def _why(part: Any, dump: Callable[[Any], object]) -> Exception | None:
    try:
        dump(part)
    except Exception as error:
        return error
    return None


def _parts(thing: Any) -> Iterator[tuple[str, Any]]:
    match thing:
        case list() | tuple():
            yield from ((f"[{at}]", item) for at, item in enumerate(thing))
        case set() | frozenset():
            elements: list[Any] = list(thing)
            yield from (("[an element]", item) for item in elements)
        case dict():
            pairs: list[tuple[Any, Any]] = list(thing.items())
            yield from ((f"[the key {_short(key)}]", key) for key, _ in pairs)
            yield from ((f"[{_short(key)}]", value) for key, value in pairs)
        case FunctionType():
            yield from _parts_of_function(thing)
        case type():
            if importable(thing) is None:
                yield from ((f".{name}", value) for name, value in vars(thing).items() if not _is_slot(value))
        case staticmethod() | classmethod():
            yield ".__func__", thing.__func__
        case property():
            yield from ((f".{name}", getattr(thing, name)) for name in ("fget", "fset", "fdel"))
        case _:
            yield from _parts_of_object(thing)


def _parts_of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    if importable(function) is not None:
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"captures the variable {name!r}", cell.cell_contents
        except ValueError:
            continue
    if is_namespace(function.__globals__.get("__name__")):
        for name, value in captured_by(function).items():
            yield f"captures the name {name!r}", value
    yield "has a default value", function.__defaults__
    yield "has keyword defaults", function.__kwdefaults__
    yield "has annotations", function.__annotations__
    yield from ((f".{name}", value) for name, value in vars(function).items())


def _parts_of_object(thing: Any) -> Iterator[tuple[str, Any]]:
    try:
        reduced = thing.__reduce_ex__(5)
    except Exception:
        return  # it is the culprit itself
    if not isinstance(reduced, tuple):
        return
    arguments: tuple[Any, ...] = reduced[1]
    state, items, pairs = (*reduced[2:5], None, None, None)[:3]
    for at, argument in enumerate(arguments):
        match argument:
            case type():
                yield ".__class__", argument
            case _:
                yield f"[constructor argument {at}]", argument
    for attributes in state if isinstance(state, tuple) else (state,):
        if isinstance(attributes, dict):
            yield from ((f".{name}", value) for name, value in attributes.items())
        elif attributes is not None:
            yield ".__getstate__()", attributes
    yield from ((f"[{at}]", item) for at, item in enumerate(items or ()))
    yield from ((f"[{_short(key)}]", value) for key, value in pairs or ())


def _is_slot(value: Any) -> bool:
    return type(value).__name__ in ("getset_descriptor", "member_descriptor", "_abc_data")


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 40 else f"{text[:37]}..."

"""Turns arguments and values into bytes and buffers, and back. Knows no sockets and no tasks.

A payload is a pickle of protocol 5. Buffers of at least INLINE_LIMIT bytes stay out of it, as they are.
"""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pickle import PickleBuffer
from types import FunctionType
from typing import Any

from nbcluster.errors import NBClusterError
from nbcluster.payload import making
from nbcluster.payload.classes import id_of
from nbcluster.payload.copies import copied
from nbcluster.payload.culprits import not_serializable
from nbcluster.payload.functions import FUNCTIONS, LOADER, FunctionDumper, FunctionLoader, unreadable
from nbcluster.payload.loading import Loading, home, reading
from nbcluster.payload.pickling import ByValue, importable, is_namespace
from nbcluster.payload.watching import ATOMS
from nbcluster.protocol.calls import INLINE_LIMIT

_OURS = b"nbcluster.payload"
_SHORT = 1 << 16
_NONE = pickle.dumps(None, 5)


@dataclass(frozen=True)
class Ref:
    """A name, as an argument: on the engine it becomes the value that the namespace has under it then.

    Examples
    --------
    >>> view.apply(len, Ref("part"))
    {0: 250, 1: 250}
    """

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(
                f"Ref({self.name!r}): a name like 'x' is needed, the name of a variable on the engine"
            )

    def __repr__(self) -> str:
        return f"Ref({self.name!r})"


@dataclass(frozen=True, slots=True)
class Dumped:
    """A value, or the arguments of a call, as bytes.

    Attributes
    ----------
    payload : bytes
        The pickle; b"" for no arguments.
    buffers : tuple of PickleBuffer
        What stayed out of it, in order: each offers `.raw()`.
    inputs : tuple of str
        The tasks whose values the arguments name, each once.
    """

    payload: bytes
    buffers: tuple[PickleBuffer, ...] = ()
    inputs: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of payload and buffers together."""
        return len(self.payload) + sum(buffer.raw().nbytes for buffer in self.buffers)


_NOTHING = Dumped(b"")


class _Values(ByValue):
    """Pickles values; functions and classes of notebooks go into it as bytes of their own."""

    def __init__(
        self,
        file: Any,
        functions: FunctionDumper,
        buffers: list[PickleBuffer],
        futures: tuple[type, ...] = (),
        task_of: Callable[[Any], str] | None = None,
    ) -> None:
        super().__init__(file, _keeper(buffers))
        self._functions = functions
        self._buffers = buffers
        self._futures = futures
        self._task_of = task_of
        self.inputs: dict[str, None] = {}

    def reducer_override(self, thing: Any) -> Any:
        if self._task_of is not None:
            if isinstance(thing, self._futures):
                number = self._task_of(thing)
                self.inputs[number] = None
                return making.given, (number,)
            if type(thing) is Ref:
                return making.own, (thing.name,)
        if type(thing) is FunctionType or isinstance(thing, type):
            return self._reduce_nested(thing)
        return super().reducer_override(thing)

    def _reduce_nested(self, thing: Any) -> Any:
        if importable(thing) is not None or _is_known_to_pickle(thing):
            return super().reducer_override(thing)
        dumped = self._functions.dump(thing)
        self.captured.update(dumped.captured)
        if isinstance(thing, type):
            return making.nested_class, (id_of(thing), dumped.digest, dumped.payload)
        return making.nested, (dumped.digest, dumped.payload)


class ArgumentDumper:
    """Dumps the arguments of calls.

    Parameters
    ----------
    functions : FunctionDumper
        Dumps the functions in them.
    futures : tuple of type
        The classes of Futures; Futures in arguments, at any depth, are replaced by their values on the engine.
    task_of : callable
        Returns the task of a Future; may raise, which the caller of `dump` sees.
    """

    def __init__(
        self, functions: FunctionDumper, futures: tuple[type, ...] = (), task_of: Callable[[Any], str] = str
    ) -> None:
        self._functions = functions
        self._futures = futures
        self._task_of = task_of

    def dump(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], function: Callable[..., Any] | None = None
    ) -> Dumped:
        """Return the arguments of a call as bytes.

        Parameters
        ----------
        args, kwargs
            The arguments.
        function : callable, optional
            What is called: its parameters name the arguments in messages.

        Raises
        ------
        NotSerializable
            When one cannot be pickled; names it and says where in it the trouble sits.
        """
        if not args and not kwargs:
            return _NOTHING
        if all(type(value) in ATOMS for value in args) and (
            not kwargs or all(type(value) in ATOMS for value in kwargs.values())
        ):
            return Dumped(pickle.dumps((args, kwargs), 5))
        if not kwargs and (dumped := self._dump_given(args)) is not None:
            return dumped
        try:
            return self._dump((args, kwargs))
        except Exception as error:
            for name, value in _named(args, kwargs, function).items():
                try:
                    self._dump(value)
                except Exception as reason:
                    raise not_serializable(value, name, reason, self._dump) from reason
            raise not_serializable(args, "the arguments", error, self._dump) from error

    def _dump_given(self, args: tuple[Any, ...]) -> Dumped | None:
        """Return arguments that are Futures and atoms alone, as those of most calls of graphs; None for others.

        The places of Futures stand behind the arguments: so neither side needs a pickler that asks of each object.
        """
        rest = list(args)
        places: list[tuple[int, str]] = []
        for at, value in enumerate(args):
            if type(value) in ATOMS:
                continue
            if not isinstance(value, self._futures):
                return None
            try:
                places.append((at, self._task_of(value)))
            except NBClusterError:
                return None  # it is said with the name of the argument
            rest[at] = None
        inputs = tuple(dict.fromkeys(task for _, task in places))
        return Dumped(pickle.dumps((tuple(rest), {}, tuple(places)), 5), (), inputs)

    def dump_one(self, value: Any, what: str) -> Dumped:
        """Return one value as bytes, Futures and functions in it as in arguments; `what` is how messages call it.

        Raises
        ------
        NotSerializable
            When it cannot be pickled; says where in it the trouble sits.
        """
        try:
            return self._dump(value)
        except Exception as error:
            raise not_serializable(value, what, error, self._dump) from error

    def _dump(self, value: Any) -> Dumped:
        buffers: list[PickleBuffer] = []
        with BytesIO() as file:
            pickler = _Values(file, self._functions, buffers, self._futures, self._task_of)
            pickler.dump(value)
            return Dumped(file.getvalue(), tuple(buffers), tuple(pickler.inputs))


def load_args(
    payload: bytes,
    buffers: Sequence[Any] = (),
    inputs: Mapping[str, Any] | None = None,
    namespace: dict[str, Any] | None = None,
    loader: FunctionLoader | None = None,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call.

    Parameters
    ----------
    payload, buffers
        As `ArgumentDumper.dump` made them.
    inputs : mapping
        The values of the tasks in `Dumped.inputs`.
    namespace : dict
        What Refs name, and the globals of functions.
    loader : FunctionLoader
        Loads the functions in them.

    Raises
    ------
    NameError
        When a Ref names what the namespace lacks.
    NotSerializable
        When they cannot be made here.
    """
    if not payload:
        return (), {}
    inputs = inputs or {}
    args, kwargs, *given = _load(payload, buffers, inputs, namespace, loader, "an argument")
    if given:
        filled = list(args)
        for at, task in given[0]:
            filled[at] = inputs[task]
        return tuple(filled), kwargs
    return args, kwargs


def dump_value(value: Any, functions: FunctionDumper | None = None, what: str = "the result") -> Dumped:
    """Return a value as bytes.

    Raises
    ------
    NotSerializable
        When it cannot be pickled; says where in it the trouble sits. `what` is how the message calls it.
    """
    if value is None:
        return _NO_VALUE
    if type(value) in ATOMS:
        return Dumped(pickle.dumps(value, 5))
    functions = functions or FUNCTIONS

    def dump(part: Any) -> Dumped:
        buffers: list[PickleBuffer] = []
        with BytesIO() as file:
            _Values(file, functions, buffers).dump(part)
            return Dumped(file.getvalue(), tuple(buffers))

    try:
        return dump(value)
    except Exception as error:
        raise not_serializable(value, what, error, dump) from error


def load_value(
    payload: bytes,
    buffers: Sequence[Any] = (),
    namespace: dict[str, Any] | None = None,
    loader: FunctionLoader | None = None,
    what: str = "the result",
) -> Any:
    """Return a value.

    Raises
    ------
    NotSerializable
        When it cannot be made here: a module is missing, a class is gone, its own code raised.
    """
    return _load(payload, buffers, {}, namespace, loader, what)


_NO_VALUE = Dumped(_NONE)


def _load(
    payload: bytes,
    buffers: Sequence[Any],
    inputs: Mapping[str, Any],
    namespace: dict[str, Any] | None,
    loader: FunctionLoader | None,
    what: str,
) -> Any:
    loader = loader or LOADER
    try:
        if len(payload) < _SHORT and _OURS not in payload:
            return pickle.loads(payload, buffers=map(_writable, buffers))  # noqa: S301  # the sender holds this cluster's key
        loading = Loading(home() if namespace is None else namespace, loader.find, "", inputs, loader.where)
        with reading(loading):
            return pickle.loads(payload, buffers=map(_writable, buffers))  # noqa: S301  # the sender holds this cluster's key
    except (NBClusterError, NameError):
        raise
    except Exception as error:
        raise unreadable(what, error, loader.where) from error


def _writable(buffer: Any) -> Any:
    """What was writable there must be so here; what was not is marked so in the pickle."""
    return copied(buffer) if memoryview(buffer).readonly else buffer


def _keeper(buffers: list[PickleBuffer]) -> Callable[[PickleBuffer], bool]:
    def keep(buffer: PickleBuffer) -> bool:
        if buffer.raw().nbytes < INLINE_LIMIT:
            return True
        buffers.append(buffer)
        return False

    return keep


def _is_known_to_pickle(thing: Any) -> bool:
    """Whether a function or class has no bytes of its own: cloudpickle knows it, or it is no notebook's."""
    if isinstance(thing, type):
        return not is_namespace(thing.__module__)
    return not is_namespace(thing.__globals__.get("__name__"))


def _named(
    args: tuple[Any, ...], kwargs: dict[str, Any], function: Callable[..., Any] | None
) -> dict[str, Any]:
    try:
        parameters = inspect.signature(function).parameters.values() if function is not None else ()
    except (TypeError, ValueError):
        parameters = ()
    names = [
        each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    labels = [repr(name) for name in names] + [str(at + 1) for at in range(len(names), len(args))]
    positional = dict(zip(labels, args, strict=False))
    named = {repr(name): value for name, value in kwargs.items()}
    return {f"argument {label}": value for label, value in (positional | named).items()}

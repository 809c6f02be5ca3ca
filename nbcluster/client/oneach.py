"""Calls on each of several engines, for views and namespaces: one for each target, in the engine's own lane.

Knows the engines' operations on variables, and how to ask beside what runs; knows no loops and no waiting.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from keyword import iskeyword
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import msgpack, structs

from nbcluster.client.callfutures import ManyFuture
from nbcluster.client.cellfutures import CellFuture
from nbcluster.client.fleet import is_ready
from nbcluster.client.futures import Future
from nbcluster.client.options import Options, Placement, able_engines, refuse_python, speaks_our_python
from nbcluster.client.outbox import Kind
from nbcluster.client.packing import Packed, pack_value, unpack_value
from nbcluster.client.scatter import split
from nbcluster.client.sharing import Sharing
from nbcluster.core.targets import parse
from nbcluster.engine import operations
from nbcluster.errors import (
    EngineErrors,
    EngineLost,
    NBClusterError,
    NotSerializable,
    NotSupported,
    RemoteTraceback,
    UsageError,
)
from nbcluster.ids import EngineNumber, Incarnation, TaskId
from nbcluster.payload.envelopes import SegmentRef, seal
from nbcluster.payload.forms import Form
from nbcluster.payload.functions import plain_call
from nbcluster.payload.pickling import importable
from nbcluster.protocol import calls as c
from nbcluster.protocol import codec
from nbcluster.protocol import tasks as t

if TYPE_CHECKING:
    from nbcluster.client.calls import Calls
    from nbcluster.client.fleet import Fleet

ASK_TIMEOUT = 30.0
"""Seconds that an engine has to answer beside what it runs."""

R = TypeVar("R", t.NamesDescribed, t.NamesRead, t.NamesWritten)

_replies = msgpack.Decoder(t.Reply)


def check_name(name: object) -> None:
    """Refuse what cannot be the name of a variable."""
    if not isinstance(name, str) or not name.isidentifier() or iskeyword(name):
        raise UsageError(f"{name!r} is no identifier, so it cannot be the name of a variable on an engine")


class OnEach:
    """What is done on each engine that targets mean.

    Parameters
    ----------
    calls, fleet : Calls, Fleet
    targets : str
        In the grammar of TARGETS; resolved at each call.
    namespace : str
        The named namespace; "" is the kernel's own.
    priority : int
        In the engines' lanes.
    """

    def __init__(
        self, calls: Calls, fleet: Fleet, targets: str, namespace: str = "", priority: int = 0
    ) -> None:
        self._calls = calls
        self._fleet = fleet
        self.targets = targets
        self.namespace = namespace
        self._meant = parse(targets)
        self._loud = Placement(Options(namespace=namespace, priority=priority), fleet)
        self._quiet = Placement(Options(namespace=namespace, priority=priority, quiet=True), fleet)

    @property
    def single(self) -> bool:
        """Whether results are bare."""
        return self._meant.single

    def numbers(self) -> list[EngineNumber]:
        """The engines that are meant now; for `any` one of them.

        Raises
        ------
        UnknownTarget, NoEngines, EngineLost, NotSupported
        """
        able = able_engines(self._meant, self._fleet.engines, every=not self._meant.any)
        if self._meant.any:
            able = sorted(
                able, key=lambda engine: (not is_ready(engine), engine.state != "idle", engine.number)
            )
            return [able[0].number]
        return [engine.number for engine in able]

    # -- functions of users -------------------------------------------------------------------

    def submit(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future:
        """Call a function on each target."""
        if not callable(fn):
            raise UsageError(f"{fn!r} cannot be called; give a function and its arguments")
        packer = self._calls.packer
        plain, args, kwargs = plain_call(fn, args, kwargs)
        function = packer.function(plain)
        packed = packer.arguments(args, kwargs, plain)
        packer.warn_of_huge(function, packed, args, kwargs)
        if self._meant.any:
            return self._calls.send(self._loud.kind(function.label, plain), function, packed)
        if importable(plain) is None:
            self._check_python()
        return self._shape(
            function.label,
            {
                number: self._calls.send(
                    self._loud.kind_at(str(number), function.label, pinned=True), function, packed
                )
                for number in self.numbers()
            },
        )

    def _check_python(self) -> None:
        for engine in able_engines(self._meant, self._fleet.engines, every=True):
            if not speaks_our_python(engine):
                refuse_python(engine)

    # -- variables ----------------------------------------------------------------------------

    def push(self, values: Mapping[str, Any]) -> Future:
        """Bind values to names."""
        return self._send(operations.push, self.packed(values), f"push {', '.join(values)}")

    def packed(self, values: Mapping[str, Any]) -> Packed:
        """Pack values for `push`.

        Raises
        ------
        NotSerializable
            When one cannot be packed; names it.
        """
        for name in values:
            check_name(name)
        try:
            packed = self._calls.packer.arguments((dict(values),), {})
        except NotSerializable as error:
            # In the words of whoever pushes: a variable is no argument.
            text = re.sub(r"argument 1 -> \[('.*?')\]", r"the variable \1", str(error), count=1)
            raise NotSerializable(f"{text}; nothing was sent to an engine") from error.__cause__
        return packed

    def ship(self, name: str, value: Any, digest: str) -> Future:
        """Bind a name where it is missing, or is still what was shipped before; `digest` is that of the value."""
        check_name(name)
        return self._operate(operations.ship, (name, value, digest), f"ship {name}")

    def pull(
        self, names: str | Sequence[str], behind: Mapping[int, Sequence[TaskId]] | None = None
    ) -> Future:
        """Read a name, or several as a dict; on each engine when the tasks of `behind` have succeeded."""
        if isinstance(names, str):
            check_name(names)
            return self._operate(operations.get, (names,), f"pull {names}", behind)
        wanted = list(names)
        for name in wanted:
            check_name(name)
        return self._operate(operations.pull, (wanted,), f"pull {', '.join(wanted)}")

    def take_from(self, name: str, where: EngineNumber | CellFuture) -> Future:
        """Read a name on one engine: a number, or that on which a cell runs, once it has ended well."""
        return self._operate_at(
            operations.get, self._calls.packer.arguments((name,), {}), f"pull {name}", where
        )

    def give_to(
        self, name: str, value: Future, where: EngineNumber | CellFuture, digest: str, *, keep_own: bool
    ) -> Future:
        """Bind a name on one engine, unless `keep_own` and it has its own; `where` as in `take_from`."""
        operation, args = (
            (operations.ship, (name, value, digest)) if keep_own else (operations.push, ({name: value},))
        )
        return self._operate_at(operation, self._calls.packer.arguments(args, {}), f"send {name}", where)

    def _operate_at(
        self, operation: Callable[..., Any], packed: Packed, label: str, where: EngineNumber | CellFuture
    ) -> Future:
        function = self._calls.packer.function(operation)
        tasks = where.open_tasks if isinstance(where, CellFuture) else ()
        number = where.engine if isinstance(where, CellFuture) else where
        kind = self._quiet.kind_at("" if tasks else str(number), label, pinned=True)
        if tasks:  # the sort of a call is looked up by its options, so this one is its own
            kind = Kind(structs.replace(kind.options, near=tasks[0]))
        return self._calls.send(kind, function, packed, after=tasks)

    def delete(self, names: Sequence[str]) -> Future:
        """Delete names."""
        for name in names:
            check_name(name)
        return self._operate(operations.delete, (list(names),), f"del {', '.join(names)}")

    def clear(self) -> Future:
        """Delete all names that users made."""
        return self._operate(operations.clear, (), "clear")

    def scatter(self, name: str, data: Any, axis: int) -> tuple[Future, list[EngineNumber]]:
        """Bind a part of data to a name on each target, in order; return also the engines."""
        check_name(name)
        numbers = self.numbers()
        parts = zip(numbers, split(data, len(numbers), axis), strict=True)
        packer = self._calls.packer
        packed: dict[int, Packed] = {number: packer.arguments(({name: part},), {}) for number, part in parts}
        return self._send_each(operations.push, packed, f"scatter {name}"), numbers

    def offer(self, name: str, behind: Mapping[int, Sequence[TaskId]] | None = None) -> Future:
        """Read a name, or the `Form` of it where it is a large array; `behind` as in `pull`."""
        check_name(name)
        return self._operate(operations.offer, (name,), f"gather {name}", behind)

    def fill(self, name: str, forms: Mapping[int, Form], place: SegmentRef) -> Future:
        """Have each engine write its array into a place that was reserved, one behind the other."""
        packed = {}
        at = 0
        for number, form in forms.items():
            packed[number] = self._calls.packer.arguments((name, form, seal(place), at), {})
            at += form.nbytes
        return self._send_each(operations.fill, packed, f"gather {name}")

    @property
    def sharing(self) -> Sharing:
        """The shared memory of this client."""
        return self._calls.sharing

    def _send_each(self, operation: Callable[..., Any], packed: Mapping[int, Packed], label: str) -> Future:
        function = self._calls.packer.function(operation)
        futures: dict[int, Future] = {
            number: self._calls.send(self._quiet.kind_at(str(number), label, pinned=True), function, each)
            for number, each in packed.items()
        }
        return self._shape(label, futures)

    def _operate(
        self,
        operation: Callable[..., Any],
        args: tuple[Any, ...],
        label: str,
        behind: Mapping[int, Sequence[TaskId]] | None = None,
    ) -> Future:
        return self._send(operation, self._calls.packer.arguments(args, {}), label, behind or {})

    def _send(
        self,
        operation: Callable[..., Any],
        packed: Packed,
        label: str,
        behind: Mapping[int, Sequence[TaskId]] = MappingProxyType({}),
    ) -> Future:
        function = self._calls.packer.function(operation)
        return self._shape(
            label,
            {
                number: self._calls.send(
                    self._quiet.kind_at(str(number), label, pinned=True),
                    function,
                    packed,
                    after=behind.get(number, ()),
                )
                for number in self.numbers()
            },
        )

    def _shape(self, what: str, futures: Mapping[int, Future]) -> Future:
        return next(iter(futures.values())) if self.single else ManyFuture(what, futures)

    # -- straight to engines ------------------------------------------------------------------

    def push_directly(self, values: Mapping[str, Any]) -> bool:
        """Bind small plain values at once on engines of this host that run nothing; False when that cannot be."""
        direct = self._calls.direct
        if direct is None or not values or not self._calls.is_idle:
            return False
        for name in values:
            check_name(name)
        return direct.bind(self._incarnations(self.numbers()), values, self.namespace)

    def pull_directly(self, name: str) -> dict[int, Any] | None:
        """Read a small plain value at once, by engine; None when that cannot be."""
        direct = self._calls.direct
        if direct is None or not self._calls.is_idle:
            return None
        check_name(name)
        numbers = self.numbers()
        told = direct.tell(self._incarnations(numbers), name, self.namespace)
        return None if told is None else dict(zip(numbers, told, strict=True))

    def _incarnations(self, numbers: Sequence[EngineNumber]) -> list[Incarnation]:
        by_number = self._fleet.by_number
        return [by_number[number].incarnation for number in numbers if number in by_number]

    # -- beside what runs ---------------------------------------------------------------------

    async def describe(self, names: Sequence[str] = ()) -> dict[int, tuple[t.NameInfo, ...]]:
        """What names there are, by engine."""
        question = t.DescribeNames(self.namespace, tuple(names))
        answers = await self._ask(question, t.NamesDescribed)
        return {number: answer.names for number, answer in answers.items()}

    async def digests(self, names: Sequence[str], timeout: float) -> dict[int, dict[str, str]]:
        """Which of some names there are, by engine, each with the digest under which it was shipped, "" for none.

        An engine that does not answer in time is left out.
        """
        numbers = self.numbers()
        question = codec.encode_task(t.DescribeNames(self.namespace, tuple(names)))[1]
        order = c.AskEngines(question, ",".join(map(str, numbers)) + ",", timeout)
        told = await self._calls.connection.ask(order, c.EngineAnswers, timeout=timeout + 10)
        replies = {number: _replies.decode(payload) for number, payload in told.answers.items()}
        return {
            number: {info.name: info.digest for info in reply.names}
            for number, reply in replies.items()
            if isinstance(reply, t.NamesDescribed)
        }

    async def read(self, names: Sequence[str]) -> dict[int, dict[str, Any]]:
        """Read values at once."""
        for name in names:
            check_name(name)
        answers = await self._ask(t.ReadNames(tuple(names), self.namespace), t.NamesRead)
        values: dict[int, dict[str, Any]] = {}
        for number, answer in answers.items():
            for name, reason in answer.unsent.items():
                if reason.startswith("missing"):
                    raise KeyError(name)
                raise NotSerializable(f"{name!r} stays on engine {number}: {reason}")
            values[number] = {
                name: unpack_value(payload, (), f"{name!r} of engine {number}")
                for name, payload in answer.values.items()
            }
        return values

    async def write(
        self, values: Mapping[str, Any], delete: Sequence[str] = (), shipped: Mapping[str, str] | None = None
    ) -> None:
        """Bind or delete names at once; `shipped` has digests of what is sent unasked."""
        for name in (*values, *delete):
            check_name(name)
        packed = {name: pack_value(value, f"{name!r}") for name, value in values.items()}
        answers = await self._ask(
            t.WriteNames(packed, self.namespace, tuple(delete), dict(shipped or {})), t.NamesWritten
        )
        for number, answer in answers.items():
            for name, reason in answer.failed.items():
                if reason.startswith("missing"):
                    raise KeyError(name)
                raise NotSerializable(f"{name!r} could not be bound on engine {number}: {reason}")

    async def _ask(self, question: t.Question, kind: type[R]) -> dict[int, R]:
        numbers = self.numbers()
        order = c.AskEngines(codec.encode_task(question)[1], ",".join(map(str, numbers)) + ",", ASK_TIMEOUT)
        told = await self._calls.connection.ask(order, c.EngineAnswers, timeout=ASK_TIMEOUT + 10)
        if told.silent:
            silent = ", ".join(map(str, told.silent))
            raise EngineLost(
                f"engines {silent} did not answer beside what they run within {ASK_TIMEOUT:g} s: they have ended, "
                "or C code holds the interpreter"
            )
        answers: dict[int, R] = {}
        for number, payload in sorted(told.answers.items()):
            reply = _replies.decode(payload)
            if isinstance(reply, t.Failed):
                raise NotSupported(f"engine {number}: {reply.reason}")
            if not isinstance(reply, kind):
                raise NBClusterError(f"engine {number} answered with {type(reply).__name__}")
            answers[number] = reply
        return answers

    def bare(self, values: Mapping[int, Any]) -> Any:
        """Values by engine in the shape of the targets."""
        return next(iter(values.values())) if self.single else dict(values)

    def shaped_pull(self, names: str | Sequence[str], pulled: Any) -> Any:
        """What `pull` returns: the value of one name, a list for several."""
        if isinstance(names, str):
            return pulled
        if self.single:
            return [pulled[name] for name in names]
        return {number: [values[name] for name in names] for number, values in pulled.items()}

    def shaped_read(self, names: str | Sequence[str], read: Mapping[int, Mapping[str, Any]]) -> Any:
        """What `pull` returns, of values that were read at once."""
        if isinstance(names, str):
            return self.bare({number: values[names] for number, values in read.items()})
        return self.bare({number: [values[name] for name in names] for number, values in read.items()})


def about_names(error: Exception, names: str | Sequence[str] = "") -> Exception:
    """Return an error of an operation on variables in the words of whoever asked for it.

    A name that is on none of the engines is one KeyError; what cannot be pickled is a variable and no result.
    """
    if isinstance(error, EngineErrors):
        errors = {number: about_names(each, names) for number, each in error.errors.items()}
        if all(isinstance(each, KeyError) for each in errors.values()):
            lacking = ", ".join(map(str, errors))
            told = next(iter(errors.values()))
            told.add_note(f"not on engine{'s' if len(errors) > 1 else ''} {lacking}")
            return told
        return EngineErrors(error.message, errors)
    cause = error.__cause__
    if type(error) is NotSerializable and isinstance(cause, RemoteTraceback):
        what = repr(names) if isinstance(names, str) else ", ".join(map(repr, names))
        reason = str(error).removeprefix("the result").removeprefix(":").strip()
        told = NotSerializable(f"{what} stays on engine {cause.engine}: {reason}")
        told.__cause__ = cause
        return told
    return error


async def finish_names(future: Future, names: str | Sequence[str], timeout: float | None = None) -> Any:
    """Await an operation on variables; its errors are in the words of `about_names`."""
    try:
        async with asyncio.timeout(timeout):
            return await future
    except (KeyError, NotSerializable, EngineErrors) as error:
        raise about_names(error, names) from error.__cause__

"""A function mapped over many items: chunks of them are calls, results come as an iterator. Knows no views.

Input is drawn in the thread that iterates, and no more of it than is needed to keep the engines busy, so that an
infinite generator takes bounded memory.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from nbcluster.client.callfutures import CallFuture
from nbcluster.client.calls import Calls
from nbcluster.client.cellnames import raised_here
from nbcluster.client.chunks import ChunkSizer
from nbcluster.client.fleet import Fleet, is_ready
from nbcluster.client.futures import SAY_AFTER, say, wait_done
from nbcluster.client.needs import tasks_before
from nbcluster.client.options import Placement
from nbcluster.client.progress import TICK, Line, line
from nbcluster.client.raising import prepared
from nbcluster.client.remote import Chunk, results_before
from nbcluster.engine.lending import Mailbox
from nbcluster.errors import TaskCancelled, UsageError
from nbcluster.payload.functions import name_of
from nbcluster.protocol.outcomes import Threw

MOST_CHUNKS = 1_000
"""Chunks on their way or waiting to be yielded, at most, unless the user says how many items."""

FEW_CHUNKS = 4
"""Chunks on their way for each engine, as long as the next measurement may show that they should be larger."""

AHEAD = 0.5
"""Seconds of work that each engine should have before it, at least."""

MOST_BYTES = 64 << 20
"""Bytes of arguments on their way or waiting to be yielded."""

DRAW_FOR = 0.02
"""Seconds after which a chunk is sent as it is, though the input could give more: a slow input is not waited for."""

CANCEL_PATIENCE = 5.0


loop_left: list[Callable[[Map], object]] = []
"""Called with a map when a loop over it ends before its results do: by break, by an error, by an interrupt."""


@dataclass(slots=True)
class _Flight:
    """A chunk that was sent."""

    index: int
    start: int
    count: int
    nbytes: int


class MapRun:
    """The state of one map, for a thread or a coroutine that iterates.

    Parameters
    ----------
    calls, placement, fleet : Calls, Placement, Fleet
    fn : callable
    iterables : tuple of iterables
    chunksize : int or None
        Items in one call; None measures.
    ordered : bool
        Whether results come in the order of the input.
    max_outstanding : int or None
        Items drawn and not yet yielded, at most.
    return_exceptions : bool
    wake : callable
        Called when a chunk has ended, on whatever thread that is.
    """

    def __init__(
        self,
        calls: Calls,
        placement: Placement,
        fleet: Fleet,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        *,
        chunksize: int | None,
        ordered: bool,
        max_outstanding: int | None,
        return_exceptions: bool,
        wake: Callable[[], object],
    ) -> None:
        if not callable(fn):
            raise UsageError(f"{fn!r} cannot be called; map takes a function and iterables")
        if not iterables:
            raise UsageError("map takes at least one iterable beside the function")
        for name, value in (("chunksize", chunksize), ("max_outstanding", max_outstanding)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UsageError(f"{name}={value!r} cannot be: it is a whole number above 0")
        if placement.options.key:
            raise UsageError("a key names one call, and map makes many; use submit for it, or label=")
        single = len(iterables) == 1
        self.what = f"map of {placement.options.label or name_of(fn)}"
        self.total = _length(iterables)
        self._items: Iterator[Any] = iter(iterables[0]) if single else zip(*iterables)  # noqa: B905  # like map
        self.calls = calls
        self._fleet = fleet
        self._kind = placement.kind(f"map {name_of(fn)}", fn)
        self._after = placement.options.after
        chunk = Chunk(fn, single=single, return_exceptions=return_exceptions, keep_before=True)
        self._function = calls.packer.function(chunk)
        self._sizer = ChunkSizer(chunksize, self.total)
        self._most_items = max_outstanding
        self._ordered = ordered
        self._return_exceptions = return_exceptions
        self._wake = wake
        self.ended: deque[CallFuture] = deque()
        """Chunks that have ended and were not taken in."""
        self.flights: dict[CallFuture, _Flight] = {}
        self._parked: dict[int, tuple[list[Any], Exception | None]] = {}
        self.results: deque[Any] = deque()
        """What can be yielded at once."""
        self._sent = self._yielded_chunks = self._drawn = self._bytes = 0
        self.yielded = 0
        self._exhausted = False
        self._input_error: BaseException | None = None
        self._over: Exception | None = None
        self._failure: Exception | None = None
        """What an item raised, to be raised when the results before it were yielded."""

    # -- input --------------------------------------------------------------------------------

    @property
    def engines(self) -> int:
        """How many engines run calls."""
        return max(1, sum(is_ready(engine) and engine.can_call for engine in self._fleet.engines))

    @property
    def wants_more(self) -> bool:
        """Whether another chunk should be drawn and sent."""
        if self._exhausted or self._over is not None or self._bytes >= MOST_BYTES:
            return False
        outstanding = self._drawn - self.yielded
        if self._most_items is not None:
            return outstanding < self._most_items
        return self._sent - self._yielded_chunks < self._window()

    @property
    def flights_low(self) -> bool:
        """Whether the engines may soon have nothing to do."""
        return len(self.flights) < 4 * self.engines

    def _window(self) -> int:
        each = self._sizer.seconds
        if each is None or self._sizer.is_growing:
            return FEW_CHUNKS * self.engines
        chunk = each * self._sizer.next(self.engines)
        return max(4 * self.engines, min(MOST_CHUNKS, int(AHEAD * self.engines / max(chunk, 1e-6))))

    def send_next(self) -> None:
        """Draw a chunk and send it."""
        items = self._draw()
        if not items:
            return
        start, self._drawn = self._drawn, self._drawn + len(items)
        packed = self.calls.packer.arguments((items, start), {})
        self._sizer.drawn(len(items), max(1, packed.nbytes))
        future = self.calls.send(self._kind, self._function, packed, after=tasks_before(self._after))
        self.flights[future] = _Flight(self._sent, start, len(items), packed.nbytes)
        self._sent += 1
        self._bytes += packed.nbytes
        future.tell_when_done(self._chunk_ended)

    def _draw(self) -> list[Any]:
        size = self._sizer.next(self.engines)
        if self._most_items is not None:
            size = min(size, self._most_items - (self._drawn - self.yielded))
        items: list[Any] = []
        begun = time.monotonic()
        handful = 1  # items that are drawn between two looks at the clock
        try:
            while (missing := size - len(items)) > 0:
                before = len(items)
                items.extend(islice(self._items, min(handful, missing)))
                if len(items) < before + min(handful, missing):
                    self._exhausted = True
                    break
                took = time.monotonic() - begun
                if took > DRAW_FOR:
                    break
                if took < DRAW_FOR / 8:
                    handful = min(2 * handful, 256)  # not more: an input may become slow at any item
        except Exception as error:  # told when what was drawn before it has been yielded
            self._exhausted = True
            self._input_error = error
        return items

    def _chunk_ended(self, future: CallFuture) -> None:
        future.bring_soon()
        self.ended.append(future)
        self._wake()

    # -- results ------------------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        """Whether everything was yielded."""
        return self._exhausted and not self.flights and not self.results and not self._parked

    def take_ended(self) -> CallFuture:
        """Take one of the chunks that have ended; its value is to be brought, and given to `keep`."""
        return self.ended.popleft()

    def keep(self, future: CallFuture) -> int:
        """Keep the results of a chunk until they are yielded; return how many items it had."""
        flight = self.flights.pop(future, None)
        if flight is None:  # the map was stopped before it ended
            return 0
        self._bytes -= flight.nbytes
        end = future.end
        if end is not None and end.seconds:
            self._sizer.measured(flight.count, end.seconds)
        results, error = self._outcome(future, flight)
        if self._ordered:
            self._parked[flight.index] = results, error
        else:
            self._release(results, error)
        return flight.count

    def _outcome(self, future: CallFuture, flight: _Flight) -> tuple[list[Any], Exception | None]:
        """Return the results of a chunk, and what ended it before its end."""
        try:
            results = future.result()  # it has ended: at most its value is still on its way
        except Exception as error:
            before = results_before(error)
            if not _is_named(error):
                error.add_note(f"map: items {flight.start} to {flight.start + flight.count - 1}")
            if self._return_exceptions and not isinstance(error, TaskCancelled):
                return [error] * flight.count, None
            return before, error
        if self._return_exceptions:
            results = [raised_here(each, future.engine) if type(each) is Threw else each for each in results]
        return list(results), None

    def release_ordered(self) -> None:
        """Make the next results of the order ready, when they are here and those before were yielded."""
        while not self.results and self._yielded_chunks in self._parked:
            self._release(*self._parked.pop(self._yielded_chunks))

    def _release(self, results: list[Any], error: Exception | None) -> None:
        self._yielded_chunks += 1
        self.results.extend(results)
        if error is not None:
            ready = list(self.results)
            self.stop("another item of the map failed", over=None)
            self.results.extend(ready)
            self._failure, self._input_error = error, None

    def check_over(self) -> None:
        """Raise why there is nothing more to come, when that is no happy end."""
        if self._over is not None:
            raise self._over
        if self._failure is not None and not self.results:
            failure, self._failure = self._failure, None
            raise failure
        if self._input_error is not None and not self.flights and not self.results and not self._parked:
            error, self._input_error = self._input_error, None
            raise prepared(error)

    def stop(self, reason: str, over: Exception | None) -> list[CallFuture]:
        """Draw no more and cancel what is on its way; return it."""
        self._exhausted = True
        self._over = over
        self._parked.clear()
        self.results.clear()
        left = [future for future in self.flights if not future.done()]
        self.flights.clear()
        self.ended.clear()
        if left:
            self.calls.stop_soon([future.task for future in left], reason)
        return left

    def cancelled(self) -> Exception:
        """What iterating a cancelled map raises."""
        return TaskCancelled(f"the {self.what} was cancelled after {self.yielded} results")

    def __repr__(self) -> str:
        of = f" of {self.total}" if self.total is not None else ""
        state = "cancelled" if self._over is not None else "finished" if self.is_finished else "under way"
        on_way = sum(flight.count for flight in list(self.flights.values()))
        return f"<{self.what}: {state}, {self.yielded}{of} results taken, {on_way} on their way>"


def _is_named(error: Exception) -> bool:
    return any(note.startswith("map: item") for note in getattr(error, "__notes__", ()))


def _length(iterables: Sequence[Any]) -> int | None:
    lengths = []
    for each in iterables:
        try:
            lengths.append(len(each))
        except TypeError:
            continue
    # The shortest ends it, and one of unknown length may be shorter still.
    return min(lengths) if len(lengths) == len(iterables) else None


class Map:
    """The results of a map: an iterator. Ctrl-C while it waits cancels what is on its way."""

    def __init__(self, make: Callable[[Callable[[], object]], MapRun]) -> None:
        self._woken: Mailbox[None] = Mailbox()
        self._run = make(lambda: self._woken.put(None))
        self._results = self._generate()
        until = time.monotonic() + DRAW_FOR
        while self._run.wants_more and time.monotonic() < until:
            self._send()

    def _send(self) -> None:
        self._run.calls.wait_room()
        self._run.send_next()

    def __iter__(self) -> Iterator[Any]:
        return self._loop()  # a generator costs less for each item than __next__ does

    def __next__(self) -> Any:
        return next(self._results)

    def _loop(self) -> Iterator[Any]:
        try:
            for result in self._results:  # noqa: UP028  # `yield from` would end the results with the loop
                yield result
        except GeneratorExit:
            for each in loop_left:
                each(self)
            raise

    def _generate(self) -> Iterator[Any]:
        run = self._run
        with line(run.what, run.total, unit="item", address=run.calls.address) as shown:
            results, ended = run.results, run.ended
            while self._wait_results(shown):
                while results:
                    run.yielded += 1
                    yield results.popleft()
                    if ended:  # the engines may want more
                        break

    def _wait_results(self, shown: Line) -> bool:
        try:
            return self._come(shown)
        except KeyboardInterrupt:
            self.cancel()
            raise

    def _come(self, shown: Line) -> bool:
        """Send what engines want and wait until there are results; False at the end."""
        run = self._run
        while True:
            while run.ended:
                shown.advance(run.keep(run.take_ended()))
            run.release_ordered()
            if run.wants_more and (not run.results or run.flights_low):
                self._send()
                continue
            if run.results:
                return True
            run.check_over()
            if run.is_finished:
                return False
            self._wait_chunk(shown)

    def _wait_chunk(self, shown: Line) -> None:
        while shown.wants_ticks:
            shown.tick()
            with suppress(queue.Empty):
                self._woken.get(timeout=TICK)
                return
        try:
            self._woken.get(timeout=SAY_AFTER)
        except queue.Empty:
            if not shown.is_shown:
                first = next(iter(self._run.flights), None)
                say(f"waiting for {first.why_waiting() if first is not None else self._run.what}")
            self._woken.get()

    def cancel(self, timeout: float = CANCEL_PATIENCE) -> None:
        """Draw no more, withdraw what waits and interrupt what runs; wait for the engines' word.

        Parameters
        ----------
        timeout : float
            Seconds to wait for it.
        """
        until = time.monotonic() + timeout
        for future in self._run.stop("the map was cancelled", self._run.cancelled()):
            try:
                future.wait_quietly(max(0.0, until - time.monotonic()))
            except TimeoutError:
                break
        self._woken.put(None)

    def __repr__(self) -> str:
        return repr(self._run)


class AsyncMap:
    """The results of a map: an asynchronous iterator."""

    def __init__(self, make: Callable[[Callable[[], object]], MapRun]) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._run = make(lambda: self._loop.call_soon_threadsafe(self._woken.set))
        until = time.monotonic() + DRAW_FOR
        while self._run.wants_more and time.monotonic() < until:
            self._run.send_next()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        run = self._run
        while True:
            self._woken.clear()
            while run.ended:
                future = run.take_ended()
                if future.end is not None and future.exception(0) is None:
                    await future._bring()
                run.keep(future)
            run.release_ordered()
            if run.wants_more and (not run.results or run.flights_low):
                await run.calls.room()
                run.send_next()
                if not run.results:
                    await asyncio.sleep(0)
                    continue
            if run.results:
                run.yielded += 1
                return run.results.popleft()
            run.check_over()
            if run.is_finished:
                raise StopAsyncIteration
            if not run.ended:
                await self._woken.wait()

    async def cancel(self, timeout: float = CANCEL_PATIENCE) -> None:
        """Draw no more, withdraw what waits and interrupt what runs; wait for the engines' word."""
        left = self._run.stop("the map was cancelled", self._run.cancelled())
        self._woken.set()
        try:
            async with asyncio.timeout(timeout):
                for future in left:
                    await wait_done(future)
        except TimeoutError:
            return

    def __repr__(self) -> str:
        return repr(self._run)

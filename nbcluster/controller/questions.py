"""Brings values and answers from agents to who asked, be it a client or another engine. Looks into neither."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from nbcluster.controller.dispatch import Dispatch
from nbcluster.controller.payloads import Values
from nbcluster.controller.pool import EngineProcess
from nbcluster.ids import EngineNumber, Incarnation, TaskId
from nbcluster.protocol import tasks as t
from nbcluster.protocol.calls import AskEngines, EngineAnswers
from nbcluster.transport.frames import Buffer

OnValue = Callable[[t.ValueSent, Sequence[Buffer]], None]
OnAnswers = Callable[[EngineAnswers, Sequence[Buffer]], None]


@dataclass(slots=True)
class _Survey:
    """One question to several engines."""

    answer: OnAnswers
    asked: dict[int, EngineNumber]
    answers: dict[EngineNumber, tuple[bytes, Sequence[Buffer]]]
    silent: list[EngineNumber]
    timer: asyncio.TimerHandle | None = None


class Questions:
    """What agents were asked and have not answered."""

    def __init__(self, dispatch: Dispatch, values: Values) -> None:
        self._dispatch = dispatch
        self._values = values
        self._numbers = count(1)
        self._fetches: dict[int, tuple[Incarnation, OnValue]] = {}
        self._surveys: dict[int, tuple[Incarnation, _Survey]] = {}

    def fetch(self, task: TaskId, then: OnValue, *, whole: bool, direct: bool) -> None:
        """Bring the value of a call that ended; `missing` says why there is none. `whole`, `direct`: see SendValue."""
        payload = self._values.here(task)
        if payload is not None:
            then(t.ValueSent(0, payload), ())
            return
        incarnation = self._values.where(task)
        if incarnation is None:
            why = self._values.why_lost(task)
            missing = why or f"the value of {task} is not kept any more: its Future was dropped"
            then(t.ValueSent(0, missing=missing, lost=bool(why)), ())
            return
        request = next(self._numbers)
        self._fetches[request] = (incarnation, then)
        self._dispatch.send(incarnation, t.SendValue(request, task, whole, direct))

    def fetched(self, sent: t.ValueSent, buffers: Sequence[Buffer]) -> None:
        """An agent sent a value."""
        _, then = self._fetches.pop(sent.request, (None, None))
        if then is not None:
            then(sent, buffers)

    def ask(
        self,
        order: AskEngines,
        frames: Sequence[Buffer],
        engines: Sequence[tuple[EngineNumber, EngineProcess | None]],
        answer: OnAnswers,
    ) -> None:
        """Ask several agents; answer when all have answered, or when the time is over."""
        survey = _Survey(answer, {}, {}, [])
        for number, process in engines:
            if process is None or not process.has_agent:
                survey.silent.append(number)
                continue
            request = next(self._numbers)
            survey.asked[request] = number
            self._surveys[request] = (process.incarnation, survey)
            self._dispatch.send(process.incarnation, t.Ask(request, order.question, order.sizes), frames)
        if survey.asked:
            survey.timer = asyncio.get_running_loop().call_later(order.timeout, self._late, survey)
        else:
            self._finish(survey)

    def answered(self, said: t.Answered, buffers: Sequence[Buffer]) -> None:
        """An agent answered."""
        _, survey = self._surveys.pop(said.request, (None, None))
        if survey is not None:
            survey.answers[survey.asked.pop(said.request)] = (said.reply, buffers)
            if not survey.asked:
                self._finish(survey)

    def forget_engine(self, incarnation: Incarnation, why: str) -> None:
        """An engine has gone: whoever waits for it is told."""
        for request in [key for key, (asked, _) in self._fetches.items() if asked == incarnation]:
            _, then = self._fetches.pop(request)
            then(t.ValueSent(request, missing=why, lost=True), ())
        for request, survey in [
            (key, it) for key, (asked, it) in self._surveys.items() if asked == incarnation
        ]:
            del self._surveys[request]
            survey.silent.append(survey.asked.pop(request))
            if not survey.asked:
                self._finish(survey)

    def _late(self, survey: _Survey) -> None:
        for request, number in survey.asked.items():
            del self._surveys[request]
            survey.silent.append(number)
        survey.asked.clear()
        self._finish(survey)

    def _finish(self, survey: _Survey) -> None:
        if survey.timer is not None:
            survey.timer.cancel()
        numbers = sorted(survey.answers)
        sizes = {
            number: tuple(len(buffer) for buffer in survey.answers[number][1])
            for number in numbers
            if survey.answers[number][1]
        }
        survey.answer(
            EngineAnswers(
                {number: survey.answers[number][0] for number in numbers}, tuple(sorted(survey.silent)), sizes
            ),
            [buffer for number in numbers for buffer in survey.answers[number][1]],
        )

"""What a kernel hands to a pager, as `name?` does, is output of the cell: one engine's like any other."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json

from nbcluster.client.cells import CellRun
from nbcluster.ids import CellId, EngineNumber, TaskId
from nbcluster.protocol import messages as m

PAGE = {"source": "page", "data": {"text/plain": "Signature: len(obj)"}, "start": 0}


class Sender:
    loop = None

    def post_soon(self, request: m.Request) -> None:
        raise AssertionError("nothing is sent")


def ended(*payload: dict[str, Any]) -> tuple[CellRun, list[Any]]:
    run = CellRun(Sender(), m.SubmitCell(CellId("cell"), "len?"), single=True)
    run.accepted((m.TaskPlace(TaskId("t"), EngineNumber(0)),))
    run.handle(m.TaskDone(CellId("cell"), TaskId("t"), EngineNumber(0), 1, m.Succeeded(payload=payload)), ())
    return run, [event for item in run.events() if item is not None for event in item[:1]]


def test_a_page_comes_before_the_end_and_stays_in_the_result() -> None:
    run, (page, end) = ended(PAGE, {"source": "set_next_input", "text": "x"})
    assert (page.engine, page.task, page.msg_type) == (0, "t", "execute_result")
    assert json.decode(page.content)["data"] == {"text/plain": "Signature: len(obj)"}
    assert isinstance(end, m.TaskDone)
    assert run.output == "Signature: len(obj)\n"
    assert [shown["data"] for shown in run.results[0].outputs] == [{"text/plain": "Signature: len(obj)"}]


def test_a_page_in_other_forms_shows_its_text_where_it_has_one() -> None:
    both = {"text/html": "<b>mean</b>", "text/plain": "mean"}
    _, (page, _) = ended({"source": "page", "data": both})
    assert json.decode(page.content)["data"] == {"text/plain": "mean"}
    _, (page, _) = ended({"source": "page", "data": {"text/html": "<b>mean</b>"}})
    assert json.decode(page.content)["data"] == {"text/html": "<b>mean</b>"}


@pytest.mark.parametrize("payload", [{}, {"source": "page"}, {"source": "page", "data": "no dict"}])
def test_what_is_no_page_shows_nothing(payload: dict[str, Any]) -> None:
    run, events = ended(payload)
    assert [type(event) for event in events] == [m.TaskDone]
    assert run.future.done()

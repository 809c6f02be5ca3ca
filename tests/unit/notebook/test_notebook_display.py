"""What a notebook is asked to show for the events of a cell."""

import re

import pytest
from notebook_peers import CELL, asks, done, output, places, printed, raised, result, shown, started

from nbcluster.notebook.display import CellDisplay, waiting_text
from nbcluster.notebook.labels import Labels, ranges
from nbcluster.notebook.operations import Clear, Move, Show, Write
from nbcluster.protocol.messages import Lost


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Drawing:
    """A display and the time, with what it asked for, without colours."""

    def __init__(self, *engines: int, single: bool = False, **options) -> None:
        self.now = 0.0
        self.display = CellDisplay(CELL, "default", places(*engines), single=single, **options)

    def at(self, now: float, *events):
        self.now = now
        drawn = [op for event in events for op in self.display.apply(event, (), now)]
        return self._seen(drawn if events else self.display.tick(now))

    def finish(self):
        return self._seen(self.display.finish(self.now))

    def _seen(self, operations):
        return [
            type(op)(op.stream, plain(op.text))
            if isinstance(op, Write)
            else Move(op.key, plain(op.text), op.settled)
            if isinstance(op, Move)
            else op
            for op in operations
        ]


def out(text):
    return Write("stdout", text)


def test_whole_lines_of_several_engines_are_labelled_and_aligned():
    cell = Drawing(0, 10)
    assert cell.at(0, printed(0, "a\nb\n"), printed(10, "c\n")) == [out("[0]  a\n[0]  b\n"), out("[10] c\n")]
    assert cell.at(1) == []
    assert cell.finish() == []


def test_a_line_is_put_together_from_parts():
    cell = Drawing(0, 1)
    assert cell.at(0, printed(0, "one ")) == []
    assert cell.at(0.1) == []
    assert cell.at(0.1, printed(0, "line\nnext")) == [out("[0] one line\n")]


def test_a_line_without_end_is_shown_after_a_moment_and_settles_in_place():
    cell = Drawing(0, 1)
    cell.at(0, printed(0, "working"))
    assert cell.at(0.19) == []
    assert cell.at(0.2) == [Move("c1-0-stdout-0", "[0] working")]
    assert cell.at(0.5) == []
    assert cell.at(0.6, printed(1, "x\n"), printed(0, " done\nmore\n")) == [
        out("[1] x\n"),
        Move("c1-0-stdout-0", "[0] working done", settled=True),
        out("[0] more\n"),
    ]
    assert cell.finish() == []


def test_a_progress_bar_is_one_line_that_moves_ten_times_a_second_at_most():
    cell = Drawing(0, 1)
    cell.at(0, printed(0, "\r 10%", "stderr"))
    assert cell.at(0.01) == [Move("c1-0-stderr-0", "[0]  10%")]
    cell.at(0.02, printed(0, "\r 20%", "stderr"))
    assert cell.at(0.05) == []
    cell.at(0.06, printed(0, "\r 30%", "stderr"))
    assert cell.at(0.12) == [Move("c1-0-stderr-0", "[0]  30%")]
    assert cell.at(0.13, printed(0, "\r100%\n", "stderr")) == [
        Move("c1-0-stderr-0", "[0] 100%", settled=True)
    ]


def test_a_carriage_return_overwrites_from_the_start():
    cell = Drawing(0, 1)
    assert cell.at(0, printed(0, "abcdef\rXY\n")) == [out("[0] XYcdef\n")]
    assert cell.at(0, printed(0, "windows\r\n")) == [out("[0] windows\n")]


def test_text_of_a_single_engine_passes_as_it_is():
    cell = Drawing(0, single=True)
    assert cell.at(0, printed(0, "\r 10%"), printed(0, "\r 20%")) == [out("\r 10%"), out("\r 20%")]
    assert cell.finish() == []


def test_live_lines_end_and_the_rest_is_counted():
    cell = Drawing(0, 1, limit=3)
    assert cell.at(0, printed(0, "1\n2\n"), printed(1, "3\n4\n5\n")) == [
        out("[0] 1\n[0] 2\n"),
        out("[1] 3\n"),
    ]
    assert cell.at(1) == [Move("c1-more", "… and 2 more lines: see cluster.last.output")]
    cell.at(1.1, printed(0, "6\n"))
    assert cell.finish() == [Move("c1-more", "… and 3 more lines: see cluster.last.output")]


def test_live_lines_of_a_single_engine_end_too():
    cell = Drawing(0, single=True, limit=2)
    assert cell.at(0, printed(0, "1\r1\n2\n3\n4")) == [out("1\r1\n2\n")]
    assert cell.at(0, printed(0, "5\n6")) == []
    assert cell.finish() == [Move("c1-more", "… and 2 more lines: see cluster.last.output")]


def test_rich_output_comes_after_the_text_before_it_with_a_heading():
    cell = Drawing(0, 1)
    drawn = cell.at(0, printed(0, "partial"), shown(0, image_png="xx"))
    assert drawn == [
        out("[0] partial\n"),
        Show({"text/plain": "[0]", "text/html": '<small style="opacity: 0.7">engine 0</small>'}),
        Show({"image/png": "xx"}),
    ]


def test_display_ids_differ_between_engines_and_stay_the_same_between_cells():
    first, later = Drawing(0, 1), Drawing(0, 1)
    ids = [op.display_id for op in first.at(0, shown(0, "d", text_html="a"), shown(1, "d", text_html="b"))]
    assert ids == [None, "nbcluster-default-0-d", None, "nbcluster-default-1-d"]
    assert later.at(0, shown(1, "d", kind="update_display_data", text_html="c")) == [
        Show({"text/html": "c"}, display_id="nbcluster-default-1-d", update=True)
    ]


def test_a_result_of_a_single_engine_is_displayed():
    assert Drawing(0, single=True).at(0, result(0, "42")) == [Show({"text/plain": "42"})]


def test_equal_results_are_folded_and_others_are_labelled():
    cell = Drawing(0, 1, 2, 3, 4)
    assert cell.at(0, *(result(n, "7" if n == 3 else "42") for n in range(5))) == []
    assert cell.finish() == [out("[0-2,4] 42  (4 engines)\n[3] 7\n")]


def test_results_do_not_wait_long_for_a_slow_engine():
    cell = Drawing(0, 1)
    cell.at(0, result(0, "42"))
    assert cell.at(0.9) == []
    assert cell.at(1.0) == [out("[0] 42\n")]
    assert cell.finish() == []


def test_lines_of_a_result_stand_under_one_another():
    cell = Drawing(0, 1)
    cell.at(0, result(0, "array([1,\n       2])"))
    assert cell.finish() == [out("[0] array([1,\n           2])\n")]


def test_a_cleared_part_goes_and_the_others_stay():
    cell = Drawing(0, 1)
    cell.at(0, printed(0, "zero\n"), printed(1, "one\n"), shown(1, text_html="x"))
    assert cell.at(0.5, output(1, "clear_output", wait=False)) == []
    assert cell.at(0.5) == [Clear(wait=True), out("[0] zero\n")]
    assert cell.at(0.6, printed(1, "fresh\n")) == [out("[1] fresh\n")]


def test_an_animation_is_redrawn_five_times_a_second_at_most():
    cell = Drawing(0, 1)
    cell.at(0, printed(0, "zero\n"), printed(1, "a\n"))
    cell.at(0.3, output(1, "clear_output", wait=True))
    assert cell.at(0.31) == []
    assert cell.at(0.32, printed(1, "b\n")) == []
    assert cell.at(0.33) == [Clear(wait=True), out("[0] zero\n[1] b\n")]
    cell.at(0.34, output(1, "clear_output", wait=True), printed(1, "c\n"))
    assert cell.at(0.4) == []
    assert cell.at(0.53) == [Clear(wait=True), out("[0] zero\n[1] c\n")]
    assert cell.finish() == []


def test_a_redraw_shows_what_was_updated():
    cell = Drawing(0, 1)
    cell.at(0, shown(0, "d", text_html="old"), shown(0, "d", "update_display_data", text_html="new"))
    cell.at(0.5, output(1, "clear_output", wait=False))
    assert cell.at(0.5)[-1] == Show({"text/html": "new"}, display_id="nbcluster-default-0-d")


def test_clearing_a_single_engine_is_the_notebooks_own():
    assert Drawing(0, single=True).at(0, output(0, "clear_output", wait=True)) == [Clear(wait=True)]


def test_the_first_failure_is_told_while_others_run():
    cell = Drawing(0, 1)
    assert cell.at(0, output(0, "error", ename="E", evalue="", traceback=["long"]), raised(0)) == []
    assert cell.at(0.3) == [
        Write(
            "stderr",
            "[0] ZeroDivisionError: division by zero (others still run; the full error comes at the end)\n",
        )
    ]
    assert cell.at(1, raised(1)) == []
    assert cell.at(2) == []


def test_a_failure_that_says_nothing_is_its_name_alone():
    cell = Drawing(0, 1)
    cell.at(0, raised(0, "KeyboardInterrupt", ""))
    [told] = cell.at(0.3)
    assert told.text.startswith("[0] KeyboardInterrupt (others still run; ")


def test_a_failure_of_all_at_once_is_left_to_the_error():
    cell = Drawing(0, 1)
    cell.at(0, raised(0), done(1, Lost("engine 1 was killed by SIGKILL")))
    assert cell.at(0.5) == []


def test_a_restart_is_told_first():
    cell = Drawing(2, single=True)
    assert cell.at(0, started(2, "engine 2 was restarted at 14:02")) == [
        Write("stderr", "engine 2 was restarted at 14:02\n")
    ]


def test_text_before_a_question_is_shown():
    cell = Drawing(0, 1)
    cell.at(0, printed(0, "name "))
    assert cell.at(0, asks(0, "? ")) == [out("[0] name \n")]


def test_lost_output_is_told():
    event = done(0)
    cell = Drawing(0, 1)
    lossy = type(event)(event.cell, event.task, event.engine, 1, event.outcome, output_dropped=3)
    assert cell.at(0, lossy) == [
        Write("stderr", "[0] 3 output messages were lost: this notebook read too slowly\n")
    ]


def test_group_engine_draws_one_after_the_other():
    cell = Drawing(0, 1, group="engine")
    assert cell.at(0, printed(1, "b1\n"), printed(0, "a1\n")) == [out("[0] a1\n")]
    assert cell.at(1, done(1)) == []
    assert cell.at(2, printed(0, "a2\n"), done(0)) == [out("[0] a2\n"), out("[1] b1\n")]
    assert cell.finish() == []


def test_group_same_draws_equal_output_once():
    cell = Drawing(0, 1, 2, group="same")
    for n in range(3):
        assert cell.at(0, printed(n, "a\n"), printed(n, "odd\n" if n == 1 else "b\n"), done(n)) == []
    assert cell.finish() == [out("[0,2] a\n[0,2] b\n[1] a\n[1] odd\n")]


@pytest.mark.parametrize(
    ("numbers", "text"), [([0], "0"), ([0, 1], "0,1"), ([3, 1, 2], "1-3"), ([0, 2, 3, 4, 9], "0,2-4,9")]
)
def test_ranges(numbers, text):
    assert ranges(numbers) == text


def test_a_colour_that_was_left_open_does_not_reach_the_next_label():
    assert Labels([0, 1], plain=False).line((0,), "\x1b[31mred").endswith("red\x1b[0m")


def test_waiting_is_explained():
    assert waiting_text([(2, "cell [7]", 40.2)], []) == "waiting: engine 2 runs cell [7] since 40 s"
    assert waiting_text([(0, "[7]", 4), (1, "[7]", 4)], [3]) == (
        "waiting: engines 0,1 run [7] since 4 s; engine 3 is not ready yet"
    )
    assert waiting_text([], []) == ""


def test_rich_output_of_one_engine_in_a_row_has_one_heading():
    display = CellDisplay("c1", "k", places(0, 1), single=False)
    drawn = [
        operation
        for event in (
            shown(0, text_html="<b>"),
            shown(0, text_html="<i>"),
            shown(1, text_html="<b>"),
            shown(0, text_html="<u>"),
            printed(0, "x\n"),
            shown(0, text_html="<p>"),
        )
        for operation in display.apply(event, (), 0.0)
        if isinstance(operation, Show)
    ]
    texts = [show.data["text/html"] for show in drawn]
    assert ["engine" in text for text in texts] == [True, False, False, True, False, True, False, True, False]

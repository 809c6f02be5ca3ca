"""Stories of a run's screen: whose text it is, and displays that change."""

from __future__ import annotations

import io

from nbcluster.cli.screen import Screen


class Terminal(io.StringIO):
    """A file that people look at."""

    def isatty(self) -> bool:
        """Answer yes."""
        return True


def screen(cells: int = 2) -> tuple[Screen, io.StringIO, list[float]]:
    """Return a screen on which both streams are one file, the file, and its clock."""
    out, now = io.StringIO(), [0.0]
    made = Screen(out, out, cells, clock=lambda: now[0])
    made.begin(1, "first()")
    return made, out, now


def test_text_that_came_later_is_shown_under_its_cell() -> None:
    made, out, _ = screen()
    made.stream(1, "stdout", "no end of line")
    made.begin(2, "\n  second()\nmore")
    made.stream(1, "stdout", "late\n")
    made.stream(2, "stdout", "mine\n")
    assert out.getvalue().splitlines() == [
        "[1/2] first()",
        "no end of line",
        "[2/2] second()",
        "[1/2] (later) first()",
        "late",
        "[2/2] (later) second()",
        "mine",
    ]


def test_a_display_that_grows_is_written_line_by_line_and_once() -> None:
    made, out, _ = screen()
    made.show(1, {"text/plain": ""}, "d")
    for text in ("a", "a\nb", "a\nb\nc"):
        made.update("d", {"text/plain": text})
    assert out.getvalue() == "[1/2] first()\na\nb\n"
    made.end(1)
    made.end(1)
    assert out.getvalue() == "[1/2] first()\na\nb\nc\n"


def test_a_display_that_moves_is_written_when_it_stands() -> None:
    made, out, now = screen()
    made.show(1, {"text/plain": " 0%"}, "bar")
    for step in range(1, 4):
        now[0] += 0.2
        made.update("bar", {"text/plain": f"{step}0%"})
        made.tick()
    assert out.getvalue() == "[1/2] first()\n"
    now[0] += 0.6
    made.tick()
    made.tick()
    assert out.getvalue() == "[1/2] first()\n30%\n"


def test_a_line_with_carriage_returns_is_written_once() -> None:
    made, out, _ = screen()
    for text in ("\r 0%", "\r50%", "\r100%", "\ndone\n\rleft"):
        made.stream(1, "stderr", text)
    made.end(1)
    assert out.getvalue() == "[1/2] first()\n100%\ndone\nleft"


def test_other_text_does_not_run_into_a_moving_line() -> None:
    made, out, _ = screen()
    made.stream(1, "stderr", "\r100%")
    made.stream(1, "stdout", "the sum\n")
    assert out.getvalue() == "[1/2] first()\n100%\nthe sum\n"


def test_a_terminal_gets_colours_and_movement_and_a_file_does_not() -> None:
    made, out, _ = screen()
    made.error(1, "E", "no", ["\x1b[31mred\x1b[0m"])
    assert out.getvalue() == "[1/2] first()\nred\n"
    terminal = Terminal()
    made = Screen(terminal, terminal, 1)
    made.begin(1, "x")
    made.show(1, {"text/plain": "10%"}, "bar")
    made.update("bar", {"text/plain": "20%"})
    made.stream(1, "stdout", "\x1b[1mtext\x1b[0m\n")
    assert terminal.getvalue() == "[1/1] x\n\r\x1b[K10%\r\x1b[K\r\x1b[K20%\r\x1b[K\x1b[1mtext\x1b[0m\n"


def test_a_bundle_without_text_tells_its_types() -> None:
    made, out, _ = screen()
    made.show(1, {"image/png": "…", "application/x": {}})
    made.show(1, {})
    assert out.getvalue().splitlines()[1:] == ["<application/x, image/png>", ""]

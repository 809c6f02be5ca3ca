"""Calls from a real notebook kernel: what they print, what they raise and how far they are is shown in their cell."""

from __future__ import annotations

import re

import pytest
from published import COLOURS, error_of, printed

from nbcluster.testing.frames import frames_of_ours


def displays(published, kind="display_data"):
    return [said["content"] for said in published if said["msg_type"] == kind]


SLOW = """def slow(go):
    import os, time
    print('begun')
    while not os.path.exists(go): time.sleep(0.01)
    print('ended')
"""


@pytest.fixture
def page(shared_page):
    return shared_page


def test_what_a_call_prints_lands_in_the_cell_that_submitted_it(page):
    page.run("def say(n):\n    print('number', n)\n    return n")
    published = page.run("cluster.submit(say, 1).result(); cluster.options(on=1).submit(say, 2).result()")
    assert sorted(re.findall(r"number \d", printed(published))) == ["number 1", "number 2"]
    assert "[1] number 2\n" in printed(published)
    # Nobody holds the Future, and the cell is over before the call is.
    published = page.run("print(sum(cluster.map(say, range(4))))")
    assert sorted(re.findall(r"number \d", printed(published))) == [f"number {n}" for n in range(4)]
    published = page.run("cluster[:].apply(say, 7)")
    assert printed(published).count("number 7") == 2
    kept = page.text("f = cluster.options(on=0).submit(say, 3); f.result(); print(repr(f.output))")
    assert r"'number 3\n'" in kept


def test_output_comes_while_the_call_runs_and_the_cell_goes_on(page, world):
    go = str(world.top / "go")
    page.run(SLOW)
    cell = page.start(f"future = cluster.submit(slow, {go!r}); future.result()")
    page.wait_for(lambda: "begun" in page.printed(cell), "the first line")
    assert not page.is_idle(cell)
    open(go, "w").close()
    page.wait_for(lambda: page.is_idle(cell), "the end")
    assert "ended" in page.printed(cell)
    assert page.text("print(future.output)") == "begun\nended\n\n"


def test_output_after_the_cell_reaches_a_page_in_that_cell(page, world):
    go = str(world.top / "go")
    page.run(SLOW)
    # A page can be asked; it hears what comes late.
    cell = page.start(f"future = cluster.submit(slow, {go!r})", allow_stdin=True)
    page.wait_for(lambda: page.is_idle(cell), "the end of the cell")
    open(go, "w").close()
    page.wait_for(lambda: "ended" in page.printed(cell), "late output in its cell")


def test_output_after_the_cell_reaches_a_headless_runner_as_an_update(page, world):
    go = str(world.top / "go")
    page.run(SLOW)
    published = page.run(f"future = cluster.submit(slow, {go!r})")
    [made] = displays(published)
    open(go, "w").close()
    page.run("future.result()")

    def drawn() -> str:
        updates = displays(page.said, "update_display_data")
        assert all(update["transient"] == made["transient"] for update in updates)
        return COLOURS.sub("", updates[-1]["data"]["text/plain"]).replace("[1]", "[0]") if updates else ""

    # It is drawn in its own time, at the latest a moment after the cell that waits.
    page.wait_for(lambda: "ended" in drawn(), "the update")
    assert drawn() == "[0] begun\n[0] ended"
    # One without calls that go on shows nothing of the kind.
    assert displays(page.run("cluster.submit(print).result()")) == []


def test_what_a_thread_prints_after_its_call_is_in_the_cell_that_submitted_it(page, world):
    go = str(world.top / "go")
    page.run(
        "def leave(go):\n    import os, threading, time\n    def talk():\n"
        "        while not os.path.exists(go): time.sleep(0.01)\n        print('late')\n"
        "    threading.Thread(target=talk).start()\n    print('early')"
    )
    cell = page.start(f"left = cluster.options(on=0).submit(leave, {go!r}); left.result()", allow_stdin=True)
    page.wait_for(lambda: page.is_idle(cell), "the end of the cell")
    assert page.printed(cell) == "[0] early\n"
    other = page.start("cluster.options(on=0).submit(print, 'another').result()", allow_stdin=True)
    page.wait_for(lambda: page.is_idle(other), "the end of another cell")
    open(go, "w").close()
    page.wait_for(lambda: "late" in page.printed(cell), "late output in its cell")
    assert page.printed(cell) == "[0] early\n[0] late\n"
    assert page.printed(other) == "[0] another\n"
    assert page.text("print(left.output)") == "early\nlate\n\n"


def test_rich_output_and_lines_without_an_end(page):
    page.run(
        "def rich():\n    from IPython.display import display, HTML\n    display(HTML('<b>hi</b>'))\n"
        "    print('open', end='')"
    )
    published = page.run("cluster.options(on=0).submit(rich).result()")
    assert [shown["data"].get("text/html") for shown in displays(published)][1:] == ["<b>hi</b>"]
    assert "[0] open\n" in printed(published)
    page.run("def part(n): print(n, end='')")
    published = page.run("for n in 'ab': cluster.options(on=0).submit(part, n).result()")
    assert printed(published) == "[0] a\n[0] b\n"


def test_ten_thousand_lines_neither_flood_nor_slow(page):
    page.run("def line(n): print('line', n)\ndef quiet(n): pass\nimport time\nfrom nbcluster import gather")
    published = page.run("gather([cluster.submit(line, n) for n in range(10_000)]); None")
    lines = re.findall(r"line \d+\n", printed(published))
    assert len(lines) == 5_000
    more = [
        shown["data"]["text/plain"]
        for kind in ("display_data", "update_display_data")
        for shown in displays(published, kind)
    ]
    assert any("… and 5,000 more lines: see the .output of each Future" in text for text in more)
    assert len(published) < 300


def test_what_a_call_raises_is_one_traceback_without_our_frames(page):
    page.run("def half(x):\n    y = x\n    return y / 0")
    text = error_of(page.run("future = cluster.submit(half, 1)\nfuture.result()", fails=True))
    assert "----> 2 future.result()" in text
    assert re.search(
        r"On engine [01]:\nTraceback \(most recent call last\):\nCell In\[\d+\], line 3, in half\n", text
    )
    assert text.endswith("ZeroDivisionError: division by zero")
    assert not frames_of_ours(text)
    text = error_of(page.run("list(cluster.map(half, [5]))", fails=True))
    assert "map: item 0, 5" in text
    assert not frames_of_ours(text)
    assert (
        page.text("try:\n    future.result()\nexcept ZeroDivisionError: print('its own class')")
        == "its own class\n"
    )
    text = error_of(page.run("cluster[:].apply(half, 1)", fails=True))
    assert text.count("division by zero") == 1
    assert "On engines 0,1:" in text
    assert "line 3, in half" in text
    text = error_of(page.run("cluster.submit(str, future).result()", fails=True))
    assert "DependencyFailed" in text
    assert "line 3, in half" in text


def test_errors_of_a_map_show_no_frames_of_ours(page):
    page.run("def half(x):\n    return x / 0\ndef items():\n    yield 1\n    raise KeyError('mine')")
    for loaded in (True, False):
        if not loaded:
            page.run("%unload_ext nbcluster")  # as where somebody has imported Cluster alone
        text = error_of(page.run("for y in cluster.map(half, range(5)):\n    print(y)", fails=True))
        assert "----> 1 for y in cluster.map(half, range(5)):" in text
        assert re.search(r"Cell In\[\d+\], line 2, in half\n", text)
        assert not frames_of_ours(text)
        assert "failed resolving arguments" not in text
        text = error_of(page.run("list(cluster.map(abs, items()))", fails=True))
        assert "----> 1 list(cluster.map(abs, items()))" in text
        assert "----> 5     raise KeyError('mine')" in text
        assert text.endswith("KeyError: 'mine'")
        assert not frames_of_ours(text)
        text = error_of(page.run("cluster.submit(half, 1).result()", fails=True))
        assert not frames_of_ours(text)
    page.run("%load_ext nbcluster")


def test_ctrl_c_in_the_body_of_a_loop_cancels_its_map_alone(page):
    page.run("import time\ndef slow(x):\n    time.sleep(0 if x == 0 else 60)\n    return x")
    page.run("results = cluster.map(slow, range(4), chunksize=1)\nother = cluster.submit(slow, 1)")
    page.run("for y in results:\n    raise KeyboardInterrupt", fails=True)
    said = error_of(page.run("next(results)", fails=True))
    assert "the map of slow was cancelled after 1 results" in said
    assert page.text("print(results)").startswith("<map of slow: cancelled, 1 of 4 results taken")
    assert page.text("print(len(cluster.tasks()), other.done())") == "1 False\n"
    page.run("other.cancel()")
    # An error of another kind, or a break, leaves it to be taken up again.
    page.run("results = cluster.map(abs, range(4), chunksize=1)")
    page.run("for y in results:\n    raise ValueError", fails=True)
    page.run("for y in results:\n    break")
    assert page.text("print(list(results))") == "[2, 3]\n"


def test_a_name_that_a_call_lacks_is_told_where_it_is(page):
    text = error_of(page.run("lacking = 1\ncluster.submit(eval, 'lacking').result()", fails=True))
    assert "The notebook has 'lacking': cluster[:].push({'lacking': lacking}) binds it" in text
    page.run("%%distributed\nlacking = 1")
    page.run("%cluster restart 0\ndel lacking")
    text = error_of(page.run("cluster.options(on=0).submit(eval, 'lacking').result()", fails=True))
    assert re.search(r"Engine 0 was restarted at \d\d:\d\d and lost 'lacking'", text)


def test_debug_opens_the_frame_of_a_failed_call(page):
    page.run("def half(x):\n    here = x + 41\n    return here / 0")
    page.run("cluster.options(on=0).submit(half, 1).result()", fails=True)
    cell = page.start("%%distributed 0\n%debug", allow_stdin=True)
    assert "ipdb>" in page.answer("p here")
    page.answer("q")
    page.wait_for(lambda: page.is_idle(cell), "the end")
    assert "42" in page.printed(cell)


def test_cancel_by_the_magic_and_by_name(page, world):
    page.run(
        "import time\ncalls = [cluster.submit(time.sleep, 100) for n in range(6)]\n"
        "fits = [cluster.submit(time.sleep, 100)]"
    )
    page.wait_for(lambda: "2 running, 5 queued" in page.text("%cluster status"), "two that run")
    assert "sleep" in page.text("%cluster status")
    assert page.text("%cluster cancel fits") == "cancelled 1 of the 1 Futures in fits\n"
    assert page.text("print(fits[0].cancelled(), any(each.done() for each in calls))") == "True False\n"
    one = page.text("one = calls[0]\n%cluster cancel one")
    assert one == "cancelled one\n"
    page.run("%cluster cancel\nfrom nbcluster import wait\nwait(calls, 20)")
    assert page.text("print(all(each.cancelled() for each in calls))") == "True\n"
    assert "0 running, 0 queued" in page.text("%cluster status")

"""An engine that lives and does not answer is shown as silent, and left alone."""

from __future__ import annotations

import os
import signal

from nbcluster.testing.waiting import wait_until


def test_an_engine_that_is_stopped_is_shown_as_silent_until_it_answers(shared):
    shared[:].execute("kept = 1", check=True)
    before = shared.engines
    assert [engine.note for engine in before] == ["", ""]
    pid = before[1].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        # Its cell waits, and so does whoever asks: nothing ends it.
        future = shared[1].execute("kept", wait=False)
        wait_until(lambda: shared.engines[1].note, 30, "a sign of its silence")
        shown = shared.engines
        assert shown[1].note.startswith("silent since ")
        assert (shown[0].note, shown[1].pid, shown[1].starts) == ("", pid, before[1].starts)
        assert "silent since" in repr(shown[1])
        assert not future.done()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert future.result(timeout=20) == 1
    wait_until(lambda: not shared.engines[1].note, 30, "an end of its silence")


def test_an_engine_that_computes_is_not_silent(shared):
    future = shared[0].execute(
        "import time\nend = time.time() + 5\nwhile time.time() < end: pass", wait=False
    )
    notes = set()

    def ended():
        notes.update(engine.note for engine in shared.engines)
        return future.done()

    wait_until(ended, 30, "the end of the cell")
    assert notes == {""}

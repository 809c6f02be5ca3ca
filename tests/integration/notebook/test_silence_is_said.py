"""A cell whose engine lives and does not answer says so, and %cluster status too."""

from __future__ import annotations

import os
import signal


def test_a_cell_on_a_stopped_engine_says_what_it_waits_for(page):
    pid = int(page.text("%distributed --on 1 import os; print(os.getpid())"))
    os.kill(pid, signal.SIGSTOP)
    try:
        cell = page.start("%%distributed 1\nprint('at last')")
        page.wait_for(
            lambda: any(
                "engine 1 is silent since" in str(said["content"].get("data"))
                for said in page.of(cell)
                if said["msg_type"] == "display_data" or said["msg_type"] == "update_display_data"
            ),
            "word of the silence",
            seconds=60,
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    page.wait_for(lambda: page.is_idle(cell), "the end")
    assert page.printed(cell) == "at last\n"

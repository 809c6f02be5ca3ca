"""A Future that a cell shows stays true: it is updated in its cell when work begins and when it ends."""

from __future__ import annotations

WORK = """%%distributed 0 --as work
import os, time
while not os.path.exists({file!r}): time.sleep(0.02)
{end}"""


def futures_shown(published):
    """Return display id and text of each Future that a cell has shown."""
    return [
        (said["content"]["transient"]["display_id"], said["content"]["data"])
        for said in published
        if said["msg_type"] == "display_data" and "<Future" in said["content"]["data"].get("text/plain", "")
    ]


def states(page, display_id):
    """Return the texts that a display has had."""
    return [
        said["content"]["data"]["text/plain"].rpartition(": ")[2]
        for said in page.said
        if said["msg_type"] in ("display_data", "update_display_data")
        and said["content"]["transient"].get("display_id") == display_id
    ]


def test_the_future_of_a_cell_is_shown_as_it_is_until_its_end(page, world):
    file = str(world.top / "go")
    published = page.run(WORK.format(file=file, end="1"))
    [(display, data)] = futures_shown(published)
    assert set(data) == {"text/plain", "text/html"}
    assert not any(said["msg_type"] == "execute_result" for said in published)
    page.wait_for(lambda: states(page, display)[-1] == "running>", "the begin")
    [(again, _)] = futures_shown(page.run("work"))
    assert states(page, again) == ["running>"]
    page.run(f"open({file!r}, 'w').close(); work.result(timeout=20)")
    page.wait_for(lambda: [states(page, shown)[-1] for shown in (display, again)] == ["done>"] * 2, "the end")
    [html] = {
        said["content"]["data"]["text/html"]
        for said in page.said
        if said["content"].get("transient", {}).get("display_id") == display
        and "done" in str(said["content"])
    }
    assert html.endswith(": <b>done</b></code>")
    # One that has ended is shown once and for all.
    [(last, _)] = futures_shown(page.run("work"))
    assert states(page, last) == ["done>"]


def test_a_failed_one_says_so_and_a_value_can_still_be_used(page, world):
    file = str(world.top / "go")
    [(display, _)] = futures_shown(page.run(WORK.format(file=file, end="1 / 0")))
    page.run(f"open({file!r}, 'w').close()")
    page.wait_for(lambda: states(page, display)[-1] == "failed>", "the end")
    assert page.text("print(work.status)") == "failed\n"

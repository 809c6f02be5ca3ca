"""How far the work of a cell is, as a notebook's page and a headless run are told."""

from __future__ import annotations

import json

PROGRESS = "auto"

VIEW = "application/vnd.jupyter.widget-view+json"


def displays(published, kind="display_data"):
    return [said["content"] for said in published if said["msg_type"] == kind]


def test_a_page_has_a_live_view_that_moves_while_the_kernel_is_busy_and_then_a_picture(page, world):
    go = str(world.top / "go")
    page.run(
        f"import os, time\nfrom nbcluster import gather, report\ndef work(n):\n    report(n / 60)\n"
        f"    while n == 59 and not os.path.exists({go!r}): time.sleep(0.01)\n    time.sleep(0.1)\n    return n"
    )
    cell = page.start("print(sum(gather([cluster.submit(work, n) for n in range(60)])))", allow_stdin=True)
    page.wait_for(lambda: displays(page.of(cell)), "the live view")
    [made] = displays(page.of(cell))
    model = made["data"][VIEW]["model_id"]
    assert made["data"]["text/plain"].startswith("gather: "), (
        "a front end without widgets shows a line of text"
    )
    assert " of 60 calls" in made["data"]["text/plain"]

    def bars() -> list[str]:
        states = [message["content"]["data"].get("state", {}) for message in page.comms("comm_msg", model)]
        return [state["bars"] for state in states if "bars" in state]

    page.wait_for(lambda: len(bars()) >= 3 and "59 of 60 done" in bars()[-1], "its bars")
    assert not page.is_idle(cell)
    (world.top / "go").touch()
    page.wait_for(lambda: page.is_idle(cell), "the end")
    *_, ended = displays(page.of(cell), "update_display_data")  # it is drawn again for what is told late
    assert ended["transient"] == made["transient"]
    assert sorted(ended["data"]) == ["text/html", "text/plain"]
    assert "gather: 60 of 60 calls, took" in ended["data"]["text/plain"]
    assert "work  60 done" in ended["data"]["text/plain"]
    assert "task stream of 2 engines" in ended["data"]["text/html"]
    assert "fraction" in ended["data"]["text/html"]
    assert page.printed(cell) == "1770\n"
    assert bars()[-1] == "", "nothing of the live view is left"
    cell = page.start("gather([cluster.submit(time.sleep, 0.4) for n in range(8)]); None", allow_stdin=True)
    page.wait_for(lambda: page.is_idle(cell), "the end")
    [again] = displays(page.of(cell))
    assert again["data"][VIEW]["model_id"] == model, "it serves all cells"


def test_headless_there_is_one_picture_and_nothing_where_it_was_short(page):
    page.run("import time\nfrom nbcluster import gather, progress")
    published = page.run("for x in cluster.map(time.sleep, [0.1] * 30): pass")
    [made] = displays(published)
    assert sorted(made["data"]) == ["text/html", "text/plain"]
    assert "map of sleep: 30 of 30 items, took" in made["data"]["text/plain"]
    late = displays(published, "update_display_data")  # what is told late is drawn in its place
    assert all(again["transient"] == made["transient"] for again in late)
    assert displays(page.run("gather([cluster.submit(abs, n) for n in range(8)]); None")) == []
    [made] = displays(page.run("%%distributed\nimport time\ntime.sleep(1.2)"))
    assert "2 of 2 engines" in made["data"]["text/plain"]
    assert displays(page.run("%%distributed --progress off\ntime.sleep(1.2)")) == []


def test_a_picture_on_demand(page):
    page.run("from nbcluster import gather\ngather([cluster.submit(pow, 2, n) for n in range(30)])")
    cell = page.start("%cluster ui", allow_stdin=True)
    page.wait_for(lambda: page.is_idle(cell), "the end of the cell")
    live, made = displays(page.of(cell))
    assert VIEW in live["data"], "it moves in a page; what stays is not shown beside it there"
    assert "pow  30 done" in made["data"]["text/plain"]
    assert "engine 1: idle" in made["data"]["text/plain"]
    assert "nbc-engines" in made["data"]["text/html"]
    model = live["data"][VIEW]["model_id"]

    def says(text):
        told = [said["content"]["data"] for said in page.comms("comm_msg", model)]
        return any(text in json.dumps(data, ensure_ascii=False) for data in told)

    page.wait_for(lambda: says("live"), "the panel to be live")
    page.run("import time\ngather([cluster.submit(abs, n) for n in range(20)]); time.sleep(1)")
    page.wait_for(lambda: says("abs"), "what was sent later to be in it")


def test_without_the_extension_it_is_one_line_of_text_that_changes(page):
    page.run(
        "import time\nfrom nbcluster.client.progress import viewers\nviewers.clear()\nfrom nbcluster import progress"
    )
    published = page.run("progress([cluster.submit(time.sleep, 0.1) for n in range(8)]); None")
    [made] = displays(published)
    updates = displays(published, "update_display_data")
    assert {shown["transient"]["display_id"] for shown in updates} == {made["transient"]["display_id"]}
    assert "8/8" in updates[-1]["data"]["text/plain"]

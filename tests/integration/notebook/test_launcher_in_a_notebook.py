"""The launcher in a real kernel: what a page is told and can ask for, also while a cell blocks and when all is lost."""

from __future__ import annotations

import re

VIEW = "application/vnd.jupyter.widget-view+json"


class Panel:
    """A page's end of a launcher: the parts as it was told of them."""

    def __init__(self, page, code):
        self.page = page
        cell = page.start(code, allow_stdin=True)
        page.wait_for(lambda: page.is_idle(cell), f"the end of {code!r}")
        self.displays = [
            said["content"]["data"] for said in page.of(cell) if said["msg_type"] == "display_data"
        ]
        self.id = self.displays[0][VIEW]["model_id"]

    @property
    def parts(self):
        parts = {}
        for said in self.page.comms("comm_open", self.id) + self.page.comms("comm_msg", self.id):
            data = said["content"]["data"]
            told = data.get("state", data.get("content", {}))
            parts |= told.get("parts", {})
            for name in told.get("gone", ()):
                parts.pop(name, None)
        return parts

    def do(self, order, **fields):
        content = {"do": order, **fields}
        self.page.send("comm_msg", self.id, data={"method": "custom", "content": content})

    def wait_for(self, part, text):
        self.page.wait_for(lambda: text in self.parts.get(part, ""), f"{text!r} in {part}")


def test_a_cluster_that_is_shown_is_live_and_a_picture_stays(page, world):
    panel = Panel(page, "cluster")
    [live, stays] = panel.displays
    assert sorted(live) == [VIEW, "text/plain"]
    assert sorted(stays) == ["text/html", "text/plain"]
    assert re.search(r"\n0 +idle .* MiB", stays["text/plain"])
    assert "Interrupt" not in stays["text/html"], "a picture has no buttons"
    panel.wait_for("head", "2 engines: 2 idle")
    for number in (0, 1):
        panel.wait_for(f"row/{number}", " MiB")
    assert Panel(page, "%cluster").id == panel.id, "one launcher for each cluster"

    page.run("%%distributed --async\nimport time\nfor _ in range(600): time.sleep(0.1)")
    go = world.top / "go"
    blocking = page.start(f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)")
    panel.wait_for("row/1", "cell [")
    before = panel.parts["row/1"]
    page.wait_for(lambda: panel.parts["row/1"] != before, "the table to move while the kernel is busy")
    assert not page.is_idle(blocking)
    go.touch()
    page.run("cluster.cancel()")


def test_headless_it_is_one_picture_and_no_widget(page):
    [shown] = [said["content"]["data"] for said in page.run("cluster") if said["msg_type"] == "display_data"]
    assert sorted(shown) == ["text/html", "text/plain"]
    assert page.comms("comm_open") == []
    [shown] = [
        said["content"]["data"]
        for said in page.run("from nbcluster import Launcher\nLauncher()")
        if said["msg_type"] == "display_data"
    ]
    assert "no cluster yet" in shown["text/plain"]


def test_a_controller_that_dies_is_said_and_a_new_cluster_has_a_new_view(page):
    panel = Panel(page, "cluster")
    panel.do("interrupt", engine="0")
    panel.wait_for("said", "interrupted engine 0")
    panel.do("interrupt", engine="7")
    panel.wait_for("trouble", "failed: ")
    page.run("import os, signal\nos.kill(cluster.status().pid, signal.SIGKILL)")
    panel.wait_for("trouble", "is gone: the controller of")
    panel.wait_for("form", 'data-do="start"')
    assert panel.parts["table"] == ""
    page.run("%cluster start -n 1")
    again = Panel(page, "cluster")
    assert again.id != panel.id
    again.wait_for("head", "1 engine: 1 idle")
    page.run("%cluster stop")
    again.wait_for("trouble", "is gone: ")
    again.do("start", name="again", n="1", tags="late")
    again.wait_for("said", "“again” is ready")
    assert page.text("print(cluster.name, cluster.engines[0].tags)") == "again ('late',)\n"
    code = "from nbcluster import Launcher\nprint(Launcher(cluster).cluster is cluster, Launcher().cluster)"
    assert page.text(code) == "True None\n"


def test_names_are_a_list_that_the_page_shows_live(page):
    page.run("cluster[:].push({'x': [1, 2]})")
    panel = Panel(page, "names = cluster.namespace().describe()\nnames")
    [live, stays] = panel.displays
    assert sorted(live) == [VIEW, "text/plain"]
    assert sorted(stays) == ["text/html", "text/plain"]
    assert "data-part" not in stays["text/html"]
    panel.wait_for("names/1", ">x<")
    page.run("cluster[1]['later'] = 5")
    panel.wait_for("names/1", ">later<")
    assert page.text("print([(name.name, name.engine) for name in names])") == "[('x', 0), ('x', 1)]\n"
    differ = Panel(page, "cluster.namespace().diff()")
    differ.wait_for("table", "missing")
    page.run("del cluster[1]['later']")
    differ.wait_for("table", "Every engine has the same names")

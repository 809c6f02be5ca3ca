"""What an engine shows inside `with output:` lands in that widget, and nothing else does."""

from __future__ import annotations

import pytest

WIDGETS = """%%distributed 0
import ipywidgets
from IPython.display import HTML, clear_output, display
out = ipywidgets.Output()
display(out)"""


def texts(published):
    """What a cell itself shows, without views of widgets."""
    said = [said["content"]["text"] for said in published if said["msg_type"] == "stream"]
    return said + [
        said["content"]["data"]["text/plain"]
        for said in published
        if said["msg_type"] in ("display_data", "execute_result")
        and "application/vnd.jupyter.widget-view+json" not in said["content"]["data"]
    ]


def model_of(page, name="OutputModel"):
    [opened] = [
        said["content"]["comm_id"]
        for said in page.comms("comm_open")
        if said["content"]["data"]["state"].get("_model_name") == name
    ]
    return opened


def held(page, model):
    """What the page was told last of a widget's outputs."""
    told = [
        said["content"]["data"]["state"]["outputs"]
        for said in page.comms("comm_msg", model)
        if "outputs" in said["content"]["data"]["state"]
    ]
    return told[-1] if told else []


@pytest.fixture
def page(shared_page):
    return shared_page


def test_output_of_a_block_lands_in_the_widget_and_what_follows_in_the_cell(page):
    page.run(WIDGETS)
    model = model_of(page)
    published = page.run(
        "%%distributed 0\n"
        "print('before')\n"
        "with out:\n"
        "    print('inside'); print('too'); display(HTML('<b>rich</b>'))\n"
        "    1 / 0\n"
        "print('after')"
    )
    assert "".join(texts(published)) == "before\nafter\n"
    stream, rich, error = held(page, model)
    assert (stream["output_type"], stream["text"]) == ("stream", "inside\ntoo\n")
    assert rich["data"]["text/html"] == "<b>rich</b>"
    assert (error["output_type"], error["ename"]) == ("error", "ZeroDivisionError")
    # The page must not route messages of its own requests.
    assert not any("msg_id" in said["content"]["data"]["state"] for said in page.comms("comm_msg", model))


def test_the_engine_knows_what_its_widget_holds_and_may_set_it(page):
    page.run(WIDGETS)
    model = model_of(page)
    page.run("%%distributed 0\nwith out: print('one')")
    assert page.text("%distributed --on 0 print(out.outputs[0]['text'], end='')") == "one\n"
    page.run("%%distributed 0\nout.append_stdout('two\\n')")
    assert "".join(output["text"] for output in held(page, model)) == "one\ntwo\n"
    page.run("%%distributed 0\nout.clear_output()")
    page.wait_for(lambda: held(page, model) == [], "an empty widget")
    page.run("%%distributed 0\nwith out: print('three')")
    assert "".join(output["text"] for output in held(page, model)) == "three\n"
    page.run("%%distributed 0\nout.outputs = ()")
    assert held(page, model) == []


def test_long_blocks_are_seen_while_they_run_and_blocks_nest(page):
    page.run(WIDGETS + "\ninner = ipywidgets.Output()")
    cell = page.start(BLOCK)
    model, other = outputs_of(page)
    page.wait_for(lambda: held(page, model) and not page.is_idle(cell), "the first line, in time")
    page.wait_for(lambda: page.is_idle(cell), "the end")
    assert held(page, model)[0]["text"] == "begun\nended\n"
    assert held(page, other)[0]["text"] == "within\n"


BLOCK = """%%distributed 0
import time
with out:
    print('begun')
    with inner:
        print('within')
    time.sleep(1)
    print('ended')"""


def outputs_of(page):
    return [
        said["content"]["comm_id"]
        for said in page.comms("comm_open")
        if said["content"]["data"]["state"].get("_model_name") == "OutputModel"
    ]


def test_interact_shows_what_its_function_shows(page):
    published = page.run(
        "%%distributed 1\n"
        "import ipywidgets\n"
        "@ipywidgets.interact(x=(0, 10))\n"
        "def double(x=2):\n"
        "    print('twice', 2 * x)\n"
        "    return -x"
    )
    assert "twice" not in str(texts(published))
    model, slider = model_of(page), model_of(page, "IntSliderModel")
    stream, value = held(page, model)
    assert (stream["text"], value["data"]["text/plain"]) == ("twice 4\n", "-2")
    page.send("comm_msg", slider, data={"method": "update", "state": {"value": 7}, "buffer_paths": []})
    page.wait_for(lambda: held(page, model)[0]["text"] == "twice 14\n", "the new value")
    page.wait_for(lambda: held(page, model)[-1]["data"]["text/plain"] == "-7", "the new result")
    page.run("pass")
    cell = published[0]["parent_header"]["msg_id"]
    assert not any(
        "twice" in str(said["content"])
        for said in page.said
        if said["parent_header"].get("msg_id") == cell and said["msg_type"] in ("stream", "display_data")
    )


def test_other_engines_of_the_cell_are_not_taken(page):
    published = page.run(
        "%%distributed\n"
        "import ipywidgets, os\n"
        "out = ipywidgets.Output()\n"
        "with out: print('hidden')\n"
        "print('seen')"
    )
    said = "".join(texts(published))
    assert (said.count("seen"), said.count("hidden")) == (2, 0)
    assert [held(page, model)[0]["text"] for model in outputs_of(page)] == ["hidden\n", "hidden\n"]

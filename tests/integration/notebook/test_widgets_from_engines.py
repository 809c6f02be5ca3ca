"""Widgets and bars made on engines, as a page sees them: real kernels, a real cluster, messages in both directions."""

from __future__ import annotations

SLIDER = """%%distributed 0
import ipywidgets
slider = ipywidgets.IntSlider(value=3, max=50)
display(slider)"""


def view_of(published):
    [view] = [
        said["content"]["data"]["application/vnd.jupyter.widget-view+json"]
        for said in published
        if "application/vnd.jupyter.widget-view+json" in said["content"].get("data", {})
    ]
    return view["model_id"]


def test_a_widget_is_opened_before_it_is_shown_and_belongs_to_its_cell(page):
    published = page.run(SLIDER)
    model = view_of(published)
    kinds = [said["msg_type"] for said in published]
    # Layout, style and the slider itself.
    assert kinds.count("comm_open") == 3
    assert max(at for at, kind in enumerate(kinds) if kind == "comm_open") < kinds.index("display_data")
    [opened] = page.comms("comm_open", model)
    assert opened["content"]["target_name"] == "jupyter.widget"
    assert opened["content"]["data"]["state"]["value"] == 3
    assert opened["metadata"]["version"].startswith("2.")


def test_what_the_page_sends_reaches_the_engine_and_the_answer_comes_back(page):
    model = view_of(page.run(SLIDER))
    page.run(
        "%%distributed 0\nslider.observe(lambda change: setattr(slider, 'description', 'heard'), 'value')"
    )
    page.send("comm_msg", model, data={"method": "update", "state": {"value": 21}, "buffer_paths": []})
    page.wait_for(
        lambda: any(
            said["content"]["data"].get("state", {}).get("description") == "heard"
            for said in page.comms("comm_msg", model)
        ),
        "answer of the callback",
    )
    assert page.text("%distributed --on 0 print(slider.value)").strip() == "21"
    assert page.text("%distributed --on 0 slider.value = 7; print('set')").strip() == "set"
    assert page.comms("comm_msg", model)[-1]["content"]["data"]["state"] == {"value": 7}


def test_binary_parts_go_both_ways_and_come_again_when_the_page_asks(page):
    page.run(
        "%%distributed 0\n"
        "import ipywidgets\n"
        "image = ipywidgets.Image(value=b'first', format='png')\n"
        "image.value = b'second'"
    )
    [opened] = [
        said for said in page.comms("comm_open") if said["content"]["data"]["state"].get("format") == "png"
    ]
    assert (opened["content"]["data"]["buffer_paths"], bytes(opened["buffers"][0])) == ([["value"]], b"first")
    model = opened["content"]["comm_id"]
    page.wait_for(lambda: page.comms("comm_msg", model), "the second picture")
    assert bytes(page.comms("comm_msg", model)[0]["buffers"][0]) == b"second"
    page.send(
        "comm_msg", model, [b"third"], data={"method": "update", "state": {}, "buffer_paths": [["value"]]}
    )
    page.send("comm_msg", model, data={"method": "request_state"})
    page.wait_for(
        lambda: any(
            said["content"]["data"]["method"] == "update" and bytes(said["buffers"][0]) == b"third"
            for said in page.comms("comm_msg", model)
            if said["buffers"]
        ),
        "the state",
    )
    assert page.text("%distributed --on 0 print(bytes(image.value))").strip() == "b'third'"


def test_a_page_that_is_loaded_again_gets_all_widgets_while_their_engine_is_busy(page):
    model = view_of(page.run(SLIDER))
    page.run("import ipywidgets\nown = ipywidgets.IntText(value=5)")
    page.run("%distributed --on 0 --as busy import time; time.sleep(60)")
    page.send(
        "comm_open", "control", target_name="jupyter.widget.control", data={}, metadata={"version": "1.0.0"}
    )
    page.run("pass")
    page.send("comm_msg", "control", data={"method": "request_states"})
    page.wait_for(lambda: page.comms("comm_msg", "control"), "all states", seconds=10)
    states = page.comms("comm_msg", "control")[0]["content"]["data"]["states"]
    assert states[model]["state"]["value"] == 3
    assert states[model]["model_name"] == "IntSliderModel"
    assert [
        state["state"]["value"] for state in states.values() if state["model_name"] == "IntTextModel"
    ] == [5]
    page.run("%cluster cancel busy")


def test_a_callback_may_make_widgets(page):
    model = view_of(
        page.run(
            "%%distributed 1\n"
            "import ipywidgets\n"
            "button = ipywidgets.Button(description='more')\n"
            "button.on_click(lambda b: ipywidgets.Label('made later'))\n"
            "display(button)"
        )
    )
    page.send("comm_msg", model, data={"method": "custom", "content": {"event": "click"}})
    page.wait_for(
        lambda: any(
            said["content"]["data"]["state"].get("value") == "made later" for said in page.comms("comm_open")
        ),
        "the widget of the callback",
    )


def test_what_a_callback_prints_lands_in_the_cell_that_made_the_widget(page):
    made = page.run(
        "%%distributed 1\n"
        "import ipywidgets\n"
        "button = ipywidgets.Button(description='say')\n"
        "button.on_click(lambda b: print('a callback spoke'))\n"
        "display(button)"
    )
    cell = made[0]["parent_header"]["msg_id"]
    page.send("comm_msg", view_of(made), data={"method": "custom", "content": {"event": "click"}})

    def heard():
        return [
            said
            for said in page.said
            if said["parent_header"].get("msg_id") == cell
            and "a callback spoke" in str(said["content"].get("data", said["content"].get("text", "")))
        ]

    page.wait_for(heard, "words of the callback in its cell")
    assert heard()[0]["msg_type"] in ("display_data", "stream")


def test_widgets_of_an_engine_that_restarts_are_cut_off_and_others_live_on(page):
    first = view_of(page.run(SLIDER))
    second = view_of(page.run(SLIDER.replace("%%distributed 0", "%%distributed 1")))
    page.run("%cluster restart 0")
    page.wait_for(
        lambda: any(
            said["content"]["data"]["state"].get("disabled") is True for said in page.comms("comm_msg", first)
        ),
        "sign that the widget is cut off",
    )
    # It stays on the page with its last value, and what the page says to it goes nowhere.
    assert page.comms("comm_close", first) == []
    page.send("comm_msg", first, data={"method": "update", "state": {"value": 30}, "buffer_paths": []})
    page.send("comm_msg", first, data={"method": "request_state"})
    page.wait_for(
        lambda: page.comms("comm_msg", first)[-1]["content"]["data"]["state"].get("value") == 3,
        "the last state",
    )
    page.send("comm_msg", second, data={"method": "update", "state": {"value": 9}, "buffer_paths": []})
    page.wait_for(lambda: page.comms("comm_msg", second), "the echo")
    assert page.text("%distributed --on 1 print(slider.value)").strip() == "9"
    assert page.comms("comm_close", second) == []


def test_a_tqdm_notebook_bar_moves(page):
    published = page.run(
        "%%distributed\n"
        "import warnings; warnings.simplefilter('ignore')\n"
        "from tqdm.notebook import tqdm\n"
        "for i in tqdm(range(5), mininterval=0): pass"
    )
    shown = [
        said
        for said in published
        if "application/vnd.jupyter.widget-view+json" in said["content"].get("data", {})
    ]
    assert len(shown) == 2
    bars = [
        said["content"]["comm_id"]
        for said in page.comms("comm_open")
        if said["content"]["data"]["state"].get("_model_name") == "FloatProgressModel"
    ]
    assert len(bars) == 2
    for bar in bars:
        values = [
            said["content"]["data"]["state"]["value"]
            for said in page.comms("comm_msg", bar)
            if "value" in said["content"]["data"]["state"]
        ]
        assert values == [1, 2, 3, 4, 5]


def test_a_notebook_without_widgets_sends_no_comm_and_imports_no_ipywidgets(page):
    page.run("%%distributed\nprint(1)")
    assert page.comms("comm_open") == []
    assert page.text("import sys; print('ipywidgets' in sys.modules)").strip() == "False"

"""What an output widget holds after messages, as a page would hold it."""

from __future__ import annotations

from nbcluster.notebook.captured import MOST_OUTPUTS, MOST_TEXT, CapturedOutputs


def stream(text, name="stdout"):
    return ("stream", {"name": name, "text": text})


def shown(text, display_id=None, kind="display_data"):
    transient = {} if display_id is None else {"display_id": display_id}
    return (kind, {"data": {"text/plain": text}, "metadata": {}, "transient": transient})


def texts(captured):
    return [output.get("text") or output["data"]["text/plain"] for output in captured.outputs]


def filled(*messages):
    captured = CapturedOutputs()
    for message in messages:
        captured.add(*message)
    return captured


def test_text_of_one_stream_is_one_output_until_something_else_comes():
    captured = filled(stream("a"), stream("b"), stream("c", "stderr"), shown("d"), stream("e"))
    assert texts(captured) == ["ab", "c", "d", "e"]


def test_a_clear_that_waits_keeps_what_is_shown_until_something_comes():
    captured = filled(stream("old"))
    assert captured.add("clear_output", {"wait": True}) is False
    assert texts(captured) == ["old"]
    captured.add(*stream("new"))
    assert texts(captured) == ["new"]
    assert captured.add("clear_output", {"wait": False}) is True
    assert captured.outputs == []


def test_an_update_replaces_every_display_of_its_id_and_nothing_else():
    captured = filled(shown("a", "one"), shown("b", "two"), shown("c", "one"))
    assert captured.add(*shown("new", "one", "update_display_data"))
    assert texts(captured) == ["new", "b", "new"]
    assert not captured.add(*shown("x", "three", "update_display_data"))
    assert captured.is_showing("two")
    captured.reset(())
    assert not captured.is_showing("two")


def test_it_is_bounded():
    captured = filled(stream("x" * MOST_TEXT), stream("end"))
    assert len(captured.outputs[0]["text"]) < MOST_TEXT
    assert captured.outputs[0]["text"].endswith("xend")
    captured = filled(*[shown(str(number)) for number in range(MOST_OUTPUTS + 5)])
    assert (len(captured.outputs), texts(captured)[0]) == (MOST_OUTPUTS, "5")

"""The state of a widget, told by its messages."""

from __future__ import annotations

from nbcluster.notebook.widgetstate import WidgetState, joined_states, states_message, without_buffers

OPENED = {"state": {"_model_name": "ImageModel", "_model_module": "m", "value": 1, "deep": {"kept": [0]}}}


def test_updates_of_both_sides_are_folded_and_custom_messages_are_not():
    state = WidgetState()
    state.fold(OPENED, ())
    state.fold({"method": "update", "state": {"value": 2}}, ())
    state.fold({"method": "echo_update", "state": {"value": 3}}, ())
    state.fold({"method": "custom", "content": {"event": "click"}, "state": {"value": 9}}, ())
    state.fold({"method": "request_state"}, ())
    assert state.values == {**OPENED["state"], "value": 3}


def test_binary_parts_are_kept_in_their_places_and_come_out_again():
    message = {"state": {"a": {}, "b": [0, None]}, "buffer_paths": [["a", "x"], ["b", 1]]}
    state = WidgetState()
    state.fold(message, (memoryview(b"one"), b"two"))
    assert state.values == {"a": {"x": b"one"}, "b": [0, b"two"]}
    assert message["state"] == {"a": {}, "b": [0, None]}, "what is sent on must not change"
    assert state.as_update() == (
        {"method": "update", "state": {"a": {}, "b": [0, None]}, "buffer_paths": [["a", "x"], ["b", 1]]},
        [b"one", b"two"],
    )


def test_a_part_that_is_replaced_takes_its_buffer_along():
    state = WidgetState()
    state.fold({"state": {}, "buffer_paths": [["value"]]}, (b"old",))
    state.fold({"method": "update", "state": {"value": "text"}}, ())
    assert state.as_update() == ({"method": "update", "state": {"value": "text"}, "buffer_paths": []}, [])


def test_all_states_name_their_models_and_their_buffers_in_full():
    state = WidgetState()
    state.fold(OPENED, ())
    state.fold({"method": "update", "state": {}, "buffer_paths": [["raw"]]}, (b"!",))
    message, buffers = states_message({"c1": state})
    assert message["method"] == "update_states"
    assert message["states"]["c1"]["model_name"] == "ImageModel"
    assert message["states"]["c1"]["state"] == OPENED["state"]
    assert (message["buffer_paths"], buffers) == ([["c1", "state", "raw"]], [b"!"])


def test_engines_widgets_are_added_to_those_of_the_notebook():
    state = WidgetState()
    state.fold({"state": {}, "buffer_paths": [["v"]]}, (b"far",))
    own = {
        "method": "update_states",
        "states": {"own": {"state": {}}},
        "buffer_paths": [["own", "state", "v"]],
    }
    message, buffers = joined_states(own, [b"near"], {"far": state})
    assert list(message["states"]) == ["own", "far"]
    assert message["buffer_paths"] == [["own", "state", "v"], ["far", "state", "v"]]
    assert buffers == [b"near", b"far"]


def test_a_tree_without_binary_parts_is_left_as_it_is():
    assert without_buffers({"a": [1, {"b": None}]}) == ({"a": [1, {"b": None}]}, [], [])

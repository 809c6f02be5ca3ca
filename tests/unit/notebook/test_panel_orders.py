"""What a page sends becomes an order, or an error that says what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

from nbcluster.errors import UsageError
from nbcluster.notebook import clustergrammar as grammar
from nbcluster.notebook.panelorders import Confirm, Dismiss, See, read_order


@pytest.mark.parametrize(
    ("content", "meant"),
    [
        (
            {
                "do": "start",
                "name": " a ",
                "n": "2",
                "kernel": "",
                "launcher": "local",
                "tags": "gpu, fast gpu",
            },
            grammar.Start(2, "a", "local", "", ("gpu", "fast")),
        ),
        ({"do": "connect", "name": "b"}, grammar.Connect("b")),
        (
            {"do": "add", "n": "1", "kernel": "bash", "launcher": "ssh", "tags": ""},
            grammar.Add(1, "bash", (), "ssh"),
        ),
        ({"do": "scale", "n": "0"}, grammar.Scale(0)),
        ({"do": "restart", "engine": "3"}, grammar.Restart("3")),
        ({"do": "interrupt", "engine": "0"}, grammar.Interrupt("0")),
        ({"do": "stop"}, grammar.Stop()),
        ({"do": "confirm"}, Confirm()),
        ({"do": "dismiss"}, Dismiss()),
        ({"do": "see", "view": "v", "on": True}, See("v", True)),
        ({"do": "see", "view": "v", "on": "yes"}, See("v", False)),
    ],
)
def test_orders_are_read(content: dict[str, Any], meant: object) -> None:
    assert read_order(content) == meant


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "no command 'None'"),
        ({"do": "explode"}, "no command 'explode'"),
        ({"do": "start", "name": " ", "n": "2"}, "needs a name"),
        ({"do": "start", "name": "a", "n": ""}, "'' engines cannot be"),
        ({"do": "scale", "n": "-1"}, "'-1' engines cannot be"),
        ({"do": "scale", "n": "2.5"}, "'2.5' engines cannot be"),
        ({"do": "scale", "n": "²"}, "'²' engines cannot be"),
        ({"do": "scale", "n": "9" * 5000}, "engines cannot be: write a number from 0 to 10,000"),
        ({"do": "scale", "n": 3}, "'' engines cannot be"),
        ({"do": "restart", "engine": "all"}, "no engine 'all'"),
        ({"do": "interrupt", "engine": ["0"]}, "no engine ''"),
    ],
)
def test_what_cannot_be_meant_is_said(content: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_order(content)
    assert says in str(raised.value)
    assert len(str(raised.value)) < 200

"""What is said of a value without running any code of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbcluster.engine.describing import PREVIEW, describe


def explode(*args: Any) -> Any:
    raise AssertionError("code of the value was run")


class Meta(type):
    __mro__ = property(explode)  # type: ignore[assignment]
    __instancecheck__ = explode

    @property
    def __module__(cls) -> str:  # type: ignore[override]
        return explode()  # type: ignore[no-any-return]


class Hostile(metaclass=Meta):
    shape = nbytes = __class__ = property(explode)  # type: ignore[assignment]
    __repr__ = __str__ = __len__ = __sizeof__ = __bool__ = __eq__ = explode  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class HostileArray(np.ndarray):  # type: ignore[type-arg]
    shape = nbytes = property(explode)  # type: ignore[assignment]
    __len__ = __repr__ = explode  # type: ignore[assignment]


class HostileFrame(pd.DataFrame):
    shape = property(explode)  # type: ignore[assignment]
    memory_usage = __len__ = __repr__ = explode  # type: ignore[assignment]


class HostileList(list):  # type: ignore[type-arg]
    __len__ = __repr__ = __sizeof__ = explode  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("value", "kind", "shape", "nbytes", "preview"),
    [
        (np.zeros((2, 3)), "numpy.ndarray", (2, 3), 48, ""),
        (np.float32(1), "numpy.float32", (), 4, ""),
        (np.zeros(4).view(HostileArray), "HostileArray", (4,), 32, ""),
        (pd.Series([1, 2], index=[0, 1]), "pandas.Series", (2,), None, ""),
        ([1, 2, 3], "list", (3,), None, ""),
        ({"a": 1}, "dict", (1,), None, ""),
        (True, "bool", None, None, "True"),
        (None, "NoneType", None, None, "None"),
        (1.5, "float", None, None, "1.5"),
        (1 << 255, "int", None, None, str(1 << 255)),
        (1 << 300_000, "int", None, None, ""),
        ("word", "str", (4,), None, "'word'"),
        (b"word", "bytes", (4,), None, "b'word'"),
        (Hostile(), "Hostile", None, None, ""),
        (HostileList([1]), "HostileList", None, None, ""),
        (np, "module", None, None, ""),
        (Hostile, "Meta", None, None, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_described(value: Any, kind: str, shape: Any, nbytes: int | None, preview: str) -> None:
    told = describe("x", value, "d")
    assert told.name == "x"
    assert told.digest == "d"
    assert told.type.endswith(kind)
    assert told.shape == shape
    if nbytes is not None:
        assert told.nbytes == nbytes
    assert told.preview == preview


def test_a_frame_is_measured_past_what_its_class_overrides() -> None:
    told = describe("x", HostileFrame({"a": [1, 2, 3]}))
    assert told.shape is None or told.shape == (3, 1), (
        "its own code may be met within pandas; then nothing is said"
    )


def test_long_texts_are_cut() -> None:
    for value in ("x" * 10_000, b"x" * 10_000, "\x00" * 50):
        assert len(describe("x", value).preview) <= PREVIEW + 4
    assert describe("x", "x" * 10_000).preview.endswith("…")

"""What is said of arrays in place of their items is enough to put them together, or nothing is said."""

from __future__ import annotations

import numpy as np
import pytest

from nbcluster.payload.forms import Form, form_of, joined


@pytest.mark.parametrize("dtype", ["f8", "<i2", ">c16", "M8[ns]", "U3", "?", "f2"])
def test_an_array_of_plain_items_has_a_form(dtype: str) -> None:
    array = np.zeros((4, 3), dtype)
    form = form_of(array, 1)
    assert form is not None
    assert np.dtype(form.dtype) == array.dtype
    assert (form.shape, form.nbytes) == (array.shape, array.nbytes)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((4, 3), object),
        np.zeros(4, [("a", "f8")]),
        np.zeros((4, 3)).T,
        np.zeros(8)[::2],
        np.zeros(()),
        np.ma.masked_array(np.zeros(4)),
        [1.0, 2.0],
        None,
    ],
)
def test_anything_else_has_none(value: object) -> None:
    assert form_of(value, 1) is None


def test_what_is_small_has_none() -> None:
    assert form_of(np.zeros(10), 81) is None
    assert form_of(np.zeros(10), 80) is not None


def test_arrays_are_joined_where_they_fit() -> None:
    parts = [form_of(np.zeros((length, 3)), 0) for length in (2, 0, 5)]
    assert joined([part for part in parts if part is not None]) == Form("<f8", (7, 3), 8)
    first = Form("<f8", (2, 3), 8)
    assert joined([first, Form("<f4", (2, 3), 4)]) is None
    assert joined([first, Form("<f8", (2, 4), 8)]) is None
    assert joined([first, Form("<f8", (2,), 8)]) is None

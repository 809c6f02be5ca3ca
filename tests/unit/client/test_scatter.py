"""What is split for engines comes back as it was."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcluster.client.scatter import join, split
from nbcluster.errors import UsageError


@given(st.lists(st.integers()), st.integers(1, 9))
def test_lists_come_back(items: list[int], count: int) -> None:
    parts = split(items, count)
    assert len(parts) == count
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert join(parts) == items


@given(st.tuples(st.integers(0, 7), st.integers(0, 7)), st.integers(1, 5), st.sampled_from([0, 1, -1]))
def test_arrays_come_back(shape: tuple[int, int], count: int, axis: int) -> None:
    array = np.arange(shape[0] * shape[1]).reshape(shape)
    back = join(split(array, count, axis), axis)
    assert back.shape == shape
    assert (back == array).all()


@pytest.mark.parametrize("kind", [pd.DataFrame, pd.Series])
def test_frames_come_back_with_their_index(kind: type) -> None:
    made = kind({"a": 1, "b": 2, "c": 3}) if kind is pd.Series else kind({"a": [1, 2]}, index=[5, 9])
    parts = split(made, 2)
    assert join(parts).equals(made)


@pytest.mark.parametrize("text", ["hello", b"hello"])
def test_texts_come_back(text: str | bytes) -> None:
    assert join(split(text, 3)) == text


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(UsageError, match="has no axis 2"):
        split(np.zeros((2, 2)), 2, 2)
    with pytest.raises(UsageError, match="a list has one axis"):
        split([1], 2, 1)
    with pytest.raises(UsageError, match="a DataFrame is scattered by rows"):
        split(pd.DataFrame({"a": [1]}), 2, 1)
    with pytest.raises(UsageError, match="a int cannot be scattered"):
        split(3, 2)
    with pytest.raises(UsageError, match=r"cannot be joined \(int\).*view\[name\]"):
        join([1, 2])
    with pytest.raises(UsageError, match="cannot be joined"):
        join([np.zeros((1, 2)), np.zeros((1, 3))])

"""Large arguments of batches of joblib: which get a file, what stands for them, when files go. Without a cluster."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbcluster.integrations.arrays import Shelf

MIB = 1 << 20


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(MIB, "r", str(tmp_path / "files"))


def there(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


def test_a_large_array_gets_one_file_until_the_call_ends(shelf: Shelf, tmp_path: Path) -> None:
    array = np.arange(MIB // 8)
    first, second = shelf.lighten((array, 3)), shelf.lighten({"x": array})
    assert len(pickle.dumps(first)) < 1000
    assert len(files(tmp_path)) == 1
    found = there(first)[0]
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable
    assert np.array_equal(found, array)
    assert np.array_equal(there(second)["x"], array)
    shelf.clear()
    assert files(tmp_path) == []
    assert found[-1] == array[-1]
    array[0] = 7
    assert there(shelf.lighten(array))[0] == 7  # the next call sees what changed
    shelf.clear()


def test_what_is_small_or_made_of_no_arrays_stays(shelf: Shelf, tmp_path: Path) -> None:
    for value in (np.arange(10), "x" * 2 * MIB, [1, {"a": (2, np.arange(3))}], object(), threading.Lock()):
        assert shelf.lighten(value) is value
    objects = np.array([{}] * (MIB // 8), dtype=object)
    assert shelf.lighten(objects) is objects
    assert Shelf(None, "r", None).lighten(np.zeros(MIB)).nbytes == 8 * MIB
    assert files(tmp_path) == []


def test_a_frame_is_mapped_like_an_array(shelf: Shelf) -> None:
    frame = pd.DataFrame(np.arange(2.0 * MIB).reshape(-1, 4), columns=list("abcd"))
    stand_in = shelf.lighten(frame)
    assert len(pickle.dumps(stand_in)) < 1000
    pd.testing.assert_frame_equal(there(stand_in), frame)
    shelf.clear()


def test_what_cannot_be_dumped_is_left_for_the_call_to_say(shelf: Shelf, tmp_path: Path) -> None:
    frame = pd.DataFrame({"lock": pd.Series([threading.Lock()] * 200_000, dtype=object)})
    assert shelf.lighten(frame) is frame
    assert files(tmp_path) == []


def test_a_part_of_a_mapped_file_is_that_part_there(shelf: Shelf, tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "data", dtype=float, mode="w+", offset=64, shape=(4, MIB // 8))
    mapped[:] = np.arange(4.0)[:, None]
    part = there(shelf.lighten([mapped[2]]))[0]
    assert part[0] == part[-1] == 2.0
    part[0] = 9.0
    assert mapped[2, 0] == 9.0
    turned = there(shelf.lighten(mapped.T))
    assert turned.shape == mapped.T.shape
    assert np.array_equal(turned, mapped.T)
    strided = there(shelf.lighten(mapped[:, ::2]))
    assert np.array_equal(strided, mapped[:, ::2])
    shelf.clear()


def test_files_go_where_the_cluster_shares_memory_while_there_is_room(tmp_path: Path) -> None:
    room = [8 * MIB]

    def new_path(nbytes: int) -> str | None:
        room[0] -= nbytes
        return str(tmp_path / f"c1-{room[0]}") if room[0] >= 0 else None

    shelf = Shelf(MIB, "r", None, new_path)
    arrays = [np.full(5 * MIB // 8, value) for value in (1.0, 2.0)]
    found = [there(shelf.lighten(array)) for array in arrays]
    assert Path(found[0].filename).parent == tmp_path
    assert Path(found[1].filename).parent != tmp_path
    assert [array[-1] for array in found] == [1.0, 2.0]
    shelf.clear()
    assert list(tmp_path.iterdir()) == []
    assert not Path(found[1].filename).exists()
    frame = pd.DataFrame({"lock": pd.Series([threading.Lock()] * 200_000, dtype=object)})
    room[0] = 100 * MIB
    assert shelf.lighten(frame) is frame
    assert list(tmp_path.iterdir()) == []

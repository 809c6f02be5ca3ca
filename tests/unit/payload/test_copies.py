"""Copies of bytes: with numpy and without."""

from __future__ import annotations

import sys

import pytest

from nbcluster.payload.copies import copied


@pytest.mark.parametrize("numpy", [True, False])
def test_a_copy_can_be_written_to_and_is_another(monkeypatch: pytest.MonkeyPatch, numpy: bool) -> None:
    if numpy:
        pytest.importorskip("numpy")
    else:
        monkeypatch.setitem(sys.modules, "numpy", None)
    original = bytearray(b"original")
    copy = copied(memoryview(original).toreadonly())
    assert copy == original
    copy[0] = 0
    original[1] = 0
    assert (copy.tobytes(), bytes(original)) == (b"\0riginal", b"o\0iginal")
    assert copied(b"") == b""

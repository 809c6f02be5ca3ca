"""A controller holds segments whose clients have let them go, and no more than it can."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbcluster.controller import holds as holds_module
from nbcluster.controller.holds import Holds
from nbcluster.transport import shareddirs
from nbcluster.transport.segments import SharedDirectory, sweep
from nbcluster.transport.sharedmem import Pool

SIZE = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A directory of segments that is in use."""
    made = tmp_path / "nbcluster-1-abc"
    fd = shareddirs.make(made, "/nowhere")
    yield made
    os.close(fd)


def fill(pool: Pool, value: bytes) -> bytes:
    """Share something and let it go at once; return its envelope."""
    shared = pool.share(value * SIZE, [])
    assert shared is not None
    envelope, lease = shared
    lease.adopt()
    del lease
    return envelope


def test_what_is_held_is_not_filled_again_nor_swept(path: Path) -> None:
    pool, holds = Pool(SharedDirectory(str(path)), "c1"), Holds(str(path))
    envelope = fill(pool, b"a")
    hold = holds.hold(envelope)
    fill(pool, b"b")
    pool.close()
    sweep(str(path), set())
    content, _ = SharedDirectory(str(path)).opened(envelope)
    assert content == b"a" * SIZE
    assert len(holds) == 1
    del hold
    assert len(holds) == 0
    assert len(sweep(str(path), set())) == 1


def test_what_is_gone_or_too_much_or_nowhere_is_not_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, holds = Pool(SharedDirectory(str(path)), "c1"), Holds(str(path))
    envelope = fill(pool, b"a")
    assert Holds("").hold(envelope) is None
    assert holds.hold(b"a pickle") is None
    monkeypatch.setattr(holds_module, "MOST", 1)
    hold = holds.hold(envelope)
    assert hold is not None
    assert holds.hold(envelope) is None
    del hold
    fill(pool, b"b")  # into the same file
    assert holds.hold(envelope) is None
    pool.close()

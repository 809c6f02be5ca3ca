"""Where clusters are found is their owner's alone, whatever stood there before and whatever the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbcluster.errors import LauncherError
from nbcluster.transport.rendezvous import (
    ConnectionFile,
    new_directory,
    read_connection_file,
    sockets_parent,
    write_connection_file,
)

CONTENT = ConnectionFile("one", "ipc:///x", "secret", 1, 2, "host", "boot", "/x", "0.1", 1)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Let what is made be for everyone, unless its maker says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_connection_file_is_its_owners_alone(tmp_path: Path, open_umask: None) -> None:
    path = tmp_path / "one.json"
    write_connection_file(path, CONTENT)
    assert mode_of(path) == 0o600
    assert read_connection_file(path) == CONTENT
    assert [each.name for each in tmp_path.iterdir()] == ["one.json"]


def test_a_directory_that_others_could_read_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_umask: None
) -> None:
    place = tmp_path / "d"
    place.mkdir(mode=0o755)
    monkeypatch.setenv("NBCLUSTER_DIR", str(place))
    try:
        made = new_directory()
    except LauncherError:  # the temporary directory of this machine is too long for sockets
        assert list(place.iterdir()) == []
    else:
        assert mode_of(made) == 0o700
    assert mode_of(place) == 0o700


def test_a_runtime_directory_of_another_user_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NBCLUSTER_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert sockets_parent() == tmp_path / "nbcluster"
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert sockets_parent() != tmp_path / "nbcluster"

"""Memory is measured: of this process, of its host, and of the control groups that bound it."""

from __future__ import annotations

import mmap
import tempfile
from pathlib import Path

import psutil
import pytest

from nbcluster.engine.meters import Meter
from nbcluster.transport.shareddirs import MEMORY

MIB = 1 << 20


def write(directory: Path, **files: object) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_text(f"{content}\n")


def test_memory_of_this_process_counts_and_mapped_files_do_not(tmp_path: Path) -> None:
    meter = Meter()
    (tmp_path / "file").write_bytes(bytes(40 * MIB))
    before = meter.own()
    with (tmp_path / "file").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    assert mapped.find(b"1") == -1, "every page is read"
    assert meter.own() - before < 20 * MIB

    mine = bytearray(b"1" * 40 * MIB)
    assert 35 * MIB < meter.own() - before < 60 * MIB, len(mine)


@pytest.mark.skipif(not MEMORY.is_dir(), reason="no POSIX shared memory here")
def test_shared_memory_that_is_mapped_is_not_of_this_process_alone() -> None:
    meter = Meter()
    before = meter.own()
    with tempfile.TemporaryFile(dir=MEMORY) as file:
        file.write(b"1" * 40 * MIB)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0)
    assert mapped.find(b"2") == -1, "every page is mapped"

    assert meter.own() - before < 20 * MIB


def test_without_control_groups_the_host_counts(tmp_path: Path) -> None:
    meter = Meter(tmp_path, tmp_path / "none")

    assert meter.total == psutil.virtual_memory().total
    assert 0 < meter.available() <= meter.total


def test_the_tightest_group_of_version_2_counts_and_what_caches_files_is_free(tmp_path: Path) -> None:
    (tmp_path / "membership").write_text("0::/a/b\n")
    write(tmp_path / "g", cgroup__procs="")
    write(
        tmp_path / "g/a",
        memory__max=100 * MIB,
        memory__current=60 * MIB,
        memory__stat="anon 1\ninactive_file 0",
    )
    write(
        tmp_path / "g/a/b",
        memory__max=80 * MIB,
        memory__current=50 * MIB,
        memory__stat=f"anon 7\ninactive_file {12 * MIB}\nactive_file {5 * MIB}\nslab_reclaimable {3 * MIB}",
    )
    meter = Meter(tmp_path / "g", tmp_path / "membership")

    assert meter.total == 80 * MIB
    assert meter.available() == 40 * MIB, "the outer group has less left"
    write(tmp_path / "g/a", memory__current=10 * MIB)
    assert meter.available() == 50 * MIB, "80 less 50, and 20 that can be given back"


def test_groups_of_version_1_count(tmp_path: Path) -> None:
    (tmp_path / "membership").write_text("5:cpu:/x\n4:memory:/x\n0::/\n")
    write(
        tmp_path / "g/memory",
        memory__limit_in_bytes=2**63 - 4096,
        memory__usage_in_bytes=1,
        memory__stat="",
    )
    write(
        tmp_path / "g/memory/x",
        memory__limit_in_bytes=90 * MIB,
        memory__usage_in_bytes=30 * MIB,
        memory__stat=f"inactive_file 1\ntotal_inactive_file {4 * MIB}\ntotal_active_file {6 * MIB}",
    )
    meter = Meter(tmp_path / "g", tmp_path / "membership")

    assert (meter.total, meter.available()) == (90 * MIB, 70 * MIB)


@pytest.mark.parametrize("limit", ["max", "", "nonsense"])
def test_what_is_no_limit_bounds_nothing(tmp_path: Path, limit: str) -> None:
    (tmp_path / "membership").write_text("0::/a\nnonsense\n")
    write(tmp_path / "g/a", memory__max=limit, memory__current=5)

    assert Meter(tmp_path / "g", tmp_path / "membership").total == psutil.virtual_memory().total

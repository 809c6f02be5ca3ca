"""What engines are told of the machine: its GPUs, and how they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbcluster.client.specs import available_gpus, engine_spec
from nbcluster.errors import UsageError


@pytest.mark.parametrize(
    ("visible", "seen"),
    [("0,1", ("0", "1")), ("GPU-ab, 3", ("GPU-ab", "3")), ("2,-1,3", ("2",)), ("", ()), ("-1", ())],
)
def test_the_gpus_that_this_process_may_see(visible: str, seen: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    assert available_gpus({"CUDA_VISIBLE_DEVICES": visible}, tmp_path) == seen


def test_without_a_word_all_devices_are_seen(tmp_path: Path) -> None:
    for name in ("nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm", "nvidia0"):
        (tmp_path / name).touch()
    assert available_gpus({}, tmp_path) == ("0", "2", "10")


def test_an_engine_with_gpus_has_so_much_of_the_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    spec = engine_spec(1, gpus_per_engine=2, resources={"disk": 1})
    assert (spec.gpus, spec.resources) == (("4", "5"), {"gpu": 2.0, "disk": 1.0})
    assert engine_spec(1, gpus_per_engine=2, resources={"gpu": 8}).resources == {"gpu": 8.0}


def test_gpus_that_are_not_there_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UsageError, match="CUDA_VISIBLE_DEVICES hides all"):
        engine_spec(1, gpus_per_engine=1)
    for wrong in (-1, True, 0.5):
        with pytest.raises(UsageError, match="whole number"):
            engine_spec(1, gpus_per_engine=wrong)  # type: ignore[arg-type]


def test_what_becomes_of_the_dead_is_one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_spec(1).restart
    assert not engine_spec(1, restart="never").restart
    with pytest.raises(UsageError, match="restart='sometimes' cannot be"):
        engine_spec(1, restart="sometimes")

"""What all tests share: hypothesis profiles, and for tests with processes a world that must end empty and, in CI, a
second try."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from nbcluster.testing.leftovers import MARKER, describe_process, end_processes, find_files, find_processes
from nbcluster.testing.waiting import wait_until

HERE = Path(__file__).parent
HAS_BROWSER = importlib.util.find_spec("playwright") is not None
collect_ignore = [] if HAS_BROWSER else ["browser"]

# Functions of tests are known by their modules, and engines look for these where their client does. At the end: what
# is installed is what is tested.
sys.path.append(str(HERE.parent))

settings.register_profile(
    "ci", derandomize=True, max_examples=60, stateful_step_count=40, deadline=None, database=None
)
settings.register_profile(
    "thorough",
    max_examples=2000,
    stateful_step_count=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

LEFTOVER_GRACE = 20.0
"""Seconds that processes and files of a test may need to go after its last line."""


SECOND_TRIES = 3
"""Tests of one run that may be run once more; the next that fails has failed."""


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is not collected and why, and whether a test may be run once more."""
    told = [f"hypothesis profile: {os.environ.get('HYPOTHESIS_PROFILE', 'ci')}"]
    if not HAS_BROWSER:
        told.append("tests/browser: not collected, the extra `browser` is not installed")
    if gives_second_tries(config):
        told.append(f"CI is set: up to {SECOND_TRIES} tests with processes are run once more when they fail")
    return told


def gives_second_tries(config: pytest.Config) -> bool:
    """Return whether a test that starts processes is run once more when it fails: in CI alone."""
    asked = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return asked and config.pluginmanager.hasplugin("rerunfailures") and not config.option.usepdb


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what may be run once more."""
    if not gives_second_tries(config):
        return
    config.option.max_suite_reruns = SECOND_TRIES
    for item in items:
        if needs_a_world(item):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish() -> None:
    """Keep what lives now out of the garbage collector's way: many tests, and CPython's, collect again and again."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each test that was run once more, and show what had failed: that is a fault to be looked into."""
    first_tries: list[pytest.TestReport] = terminalreporter.getreports("rerun")
    if not first_tries:
        return
    tests = list(dict.fromkeys(report.nodeid for report in first_tries))
    terminalreporter.section(f"{len(tests)} tests were run once more: each is a fault to be looked into")
    for report in first_tries:
        terminalreporter.section(f"first try ({report.when}): {report.nodeid}", sep="_")
        terminalreporter.line(report.longreprtext)
        for name, content in report.sections:
            terminalreporter.section(name, sep="-")
            terminalreporter.line(content)
    for nodeid in tests:
        terminalreporter.line(f"RUN ONCE MORE {nodeid}")


@dataclass(frozen=True)
class World:
    """The directories that one test's processes use, and the id that they carry."""

    test_id: str
    top: Path

    @property
    def runtime(self) -> Path:
        """Where sockets, locks, logs and journals go."""
        return self.top / "r"

    @property
    def jupyter_runtime(self) -> Path:
        """Where connection files go."""
        return self.top / "j"

    @property
    def shared(self) -> Path:
        """Below it, in memory where there is a place for that, clusters have their shared memory."""
        memory = Path("/dev/shm")  # where POSIX shared memory is on Linux
        return memory / f"nbctest-{self.test_id}" if memory.is_dir() else self.top / "s"

    @property
    def spill(self) -> Path:
        """Below it clusters write values that do not fit into memory."""
        return self.top / "w"

    @property
    def jupyter_data(self) -> Path:
        """Where kernelspecs of this test go."""
        return self.top / "d"

    def environment(self) -> dict[str, str]:
        """Return what is set in the environment of the test."""
        return {
            "NBCLUSTER_SHARED": str(self.shared),
            "NBCLUSTER_SPILL": str(self.spill),
            MARKER: self.test_id,
            "NBCLUSTER_DIR": str(self.runtime),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_RUNTIME_DIR": str(self.jupyter_runtime),
            "JUPYTER_DATA_DIR": str(self.jupyter_data),
            "JUPYTER_CONFIG_DIR": str(self.top / "c"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.top / "c/w"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.top / "c/s"),
            "IPYTHONDIR": str(self.top / "i"),
            "MPLCONFIGDIR": str(HERE.parent / ".pytest_cache/matplotlib"),
        }

    def leftovers(self) -> str:
        """Return a text that names every process and file that is left, "" when there is none."""
        processes = [f"  process {describe_process(process)}" for process in find_processes(self.test_id)]
        files = [
            f"  file {path}"
            for path in find_files([self.runtime, self.jupyter_runtime, self.shared, self.spill])
        ]
        return "\n".join(processes + files)


def needs_a_world(item: pytest.FixtureRequest | pytest.Item) -> bool:
    """Return whether this test starts processes: those in tests/integration, browser and notebooks do."""
    return not {"integration", "browser", "notebooks"}.isdisjoint(item.path.relative_to(HERE).parts)


@contextmanager
def open_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Set up directories and environment; afterwards nothing may be left in them."""
    # Not tmp_path: paths of ipc sockets end at 107 characters.
    with tempfile.TemporaryDirectory(prefix="nbc", dir="/tmp", ignore_cleanup_errors=True) as top:
        made = World(uuid.uuid4().hex, Path(top))
        for directory in (made.runtime, made.jupyter_runtime, made.jupyter_data, made.shared, made.spill):
            directory.mkdir(mode=0o700)
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        for name in ("JPY_PARENT_PID", "JUPYTER_PATH", "JUPYTER_NO_CONFIG"):
            monkeypatch.delenv(name, raising=False)
        yield made
        with suppress(TimeoutError):
            wait_until(lambda: not made.leftovers(), LEFTOVER_GRACE, "an empty world")
        left = made.leftovers()
        end_processes(find_processes(made.test_id))
        shutil.rmtree(made.shared)
        assert not left, f"the test left behind:\n{left}"


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Make a world for one test."""
    with open_world(monkeypatch) as made:
        yield made


@pytest.fixture(scope="module")
def module_world() -> Iterator[World]:
    """Make a world for what the tests of one module share; each test has one of its own beside it."""
    with pytest.MonkeyPatch.context() as monkeypatch, open_world(monkeypatch) as made:
        yield made


@pytest.fixture(autouse=True)
def world(request: pytest.FixtureRequest) -> World | None:
    """Give each test with processes a world of its own; others have none."""
    return request.getfixturevalue("make_world") if needs_a_world(request) else None


@pytest.fixture
def bash_kernel(world: World | None) -> str:
    """Name a kernelspec of bash_kernel that only this test sees (the package from PyPI brings none)."""
    assert world is not None, "kernels run only in tests/integration, tests/browser and tests/notebooks"
    return install_kernelspec(world, "bash", [sys.executable, "-m", "bash_kernel"], "bash", {"PS1": "$"})


@pytest.fixture
def r_kernel(world: World | None) -> str:
    """Name the kernelspec of Debian's r-cran-irkernel."""
    if not (shutil.which("R") and Path("/usr/lib/R/site-library/IRkernel").exists()):
        pytest.skip("needs R with IRkernel (Debian: r-cran-irkernel)")
    return "ir"


def install_kernelspec(
    world: World, name: str, command: list[str], language: str, env: dict[str, str] | None = None
) -> str:
    """Write a kernelspec that only this test sees, and return its name. The command gets `-f FILE`."""
    directory = world.jupyter_data / "kernels" / name
    directory.mkdir(parents=True)
    spec = {
        "argv": [*command, "-f", "{connection_file}"],
        "display_name": name,
        "language": language,
        "env": env or {},
    }
    (directory / "kernel.json").write_text(json.dumps(spec))
    return name

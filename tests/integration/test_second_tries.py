"""Stories of the second try that CI gives to tests with processes: named, counted once, and few."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

COUNT = Path(__file__).parents[2] / ".ci/count_tests.py"

FAILS_AT_FIRST = """
import os
from pathlib import Path

import pytest

TRIES = {}

def is_first(name):
    TRIES[name] = TRIES.get(name, 0) + 1
    return TRIES[name] == 1

@pytest.fixture(scope="module")
def shared():
    yield TRIES.setdefault("shared", [])
    assert TRIES["end"] == 2, "the shared thing ended before its last test"

def test_steady(world, shared):
    shared.append(world.test_id)

def test_hasty(world, shared):
    assert os.environ["NBCLUSTER_DIR"] == str(world.runtime)
    shared.append(world.test_id)
    assert not is_first("hasty"), "the first try was too early"

def test_untidy(world, shared):
    shared.append(world.test_id)
    if is_first("untidy"):
        (world.runtime / "left").write_text("")

def test_at_the_end(shared):
    TRIES["end"] = 2
    steady, *hasty, untidy, tidy = shared
    assert len({steady, *hasty, untidy, tidy}) == 3 + len(hasty) == 5, "each try has a world of its own"
"""
OFTEN = """
import pytest

TRIES = set()

@pytest.mark.parametrize("number", range(5))
def test_hasty(number):
    if number not in TRIES:
        TRIES.add(number)
        pytest.fail("too early")
"""
NEVER = """
def test_wrong():
    assert False, "wrong each time"
"""


def counted(directory: Path) -> str:
    """Return the last line of CI for the reports of a directory."""
    return subprocess.run(
        [sys.executable, COUNT, directory, "0"], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_test_that_needs_a_second_try_is_named_and_counted_once(run_inner, tmp_path) -> None:
    result = run_inner(FAILS_AT_FIRST, f"--junitxml={tmp_path}/junit-1.xml", ci="true")
    assert result.ret == 0
    assert result.parseoutcomes()["rerun"] == 2
    result.stdout.fnmatch_lines(
        [
            "CI is set: up to 3 tests with processes are run once more when they fail",
            "*2 tests were run once more: each is a fault to be looked into*",
            "*first try (call): *::test_hasty*",
            "*the first try was too early*",
            "*first try (teardown): *::test_untidy*",
            "*file /tmp/nbc*/r/left",
            "RUN ONCE MORE *::test_hasty",
            "RUN ONCE MORE *::test_untidy",
        ]
    )
    assert counted(tmp_path) == "4 passed, 0 failed"


def test_a_test_that_fails_twice_has_failed_once(run_inner, tmp_path) -> None:
    result = run_inner(NEVER, f"--junitxml={tmp_path}/junit-1.xml", ci="true")
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert counted(tmp_path) == "0 passed, 1 failed"


def test_of_many_that_need_one_the_run_fails(run_inner, tmp_path) -> None:
    result = run_inner(OFTEN, f"--junitxml={tmp_path}/junit-1.xml", ci="true")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=3, failed=2)
    assert counted(tmp_path) == "3 passed, 2 failed"


def test_a_developer_sees_the_first_failure(run_inner) -> None:
    result = run_inner(OFTEN, ci="")
    result.assert_outcomes(failed=5)
    result.stdout.no_fnmatch_line("*once more*")

"""Stories of the guard itself: what a test leaves behind is found and named, and an honest test passes."""

from __future__ import annotations

import subprocess
import sys

from nbcluster.testing.leftovers import find_processes
from nbcluster.testing.waiting import wait_until

pytest_plugins = ["pytester"]

SLEEPER = "import time; time.sleep(60)"

LEAVES_A_FORK = """
import os, subprocess, sys

FORK = '''
import os, time
if os.fork():
    os._exit(0)
os.setsid()
print("forked", flush=True)
time.sleep(60)
'''

def test_it():
    child = subprocess.Popen([sys.executable, "-c", FORK], stdout=subprocess.PIPE)
    with child:
        assert child.stdout.readline() == b"forked\\n"
"""
LEAVES_A_FILE = """
from pathlib import Path

def test_it(world):
    (world.runtime / "sub").mkdir()
    (world.runtime / "sub/engine.sock").write_text("")
"""
LEAVES_NOTHING = """
import subprocess, sys

def test_it(world):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        (world.runtime / "lock").write_text("")
        child.communicate(b"go\\n", timeout=20)
    (world.runtime / "lock").unlink()
"""


def test_a_forked_process_is_found_and_named(run_inner) -> None:
    result = run_inner(LEAVES_A_FORK)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.re_match_lines(
        [r"E .*the test left behind:", r"E +process \d+ \(sleeping, parent \d+\): .*python.* -c"]
    )


def test_a_file_is_found_and_named(run_inner) -> None:
    result = run_inner(LEAVES_A_FILE)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.re_match_lines([r"E +file /tmp/nbc.*/r/sub/engine.sock"])


def test_an_honest_test_passes(run_inner) -> None:
    run_inner(LEAVES_NOTHING).assert_outcomes(passed=1)


def test_processes_are_told_apart_by_the_id_of_the_test(world) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPER]) as child:
        # Popen returns after exec, but an environment is readable only when the kernel has set it up.
        wait_until(
            lambda: [p.pid for p in find_processes(world.test_id)] == [child.pid], 5, "the child to be found"
        )
        assert find_processes("another test") == []
        child.kill()
    assert find_processes(world.test_id) == []

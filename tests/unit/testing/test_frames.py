"""Frames of the package are known by where it lies, not by a word in a path."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

import nbcluster
from nbcluster.testing.frames import frames_of_ours
from nbcluster.testing.waiting import wait_until

PACKAGE = Path(nbcluster.__file__).parent


def test_a_frame_of_the_package_is_found() -> None:
    file = str(PACKAGE / "client/mapping.py")
    assert frames_of_ours(f'  File "{file}", line 3, in run') == [file]
    coloured = f"File {PACKAGE}/\x1b[32mclient\x1b[39m/mapping.py:3, in run"
    assert frames_of_ours(coloured) == [file]
    assert frames_of_ours("raised in nbcluster.client.mapping.run") == ["nbcluster.client.mapping.run"]


def test_a_real_traceback_of_the_package_is_found() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        wait_until(lambda: 1 / 0, deadline=60, what="a number")
    found = frames_of_ours("".join(traceback.format_exception(caught.value)))
    assert found == [str(PACKAGE / "testing/waiting.py")]


@pytest.mark.parametrize(
    "text",
    [
        'File "/tmp/nbcluster-ci.x/tests/unit/test_a.py", line 3',
        'File "/tmp/nbcluster/tests/unit/test_a.py", line 3',
        "nbcluster.errors.RemoteTraceback: on engine 2",
        "nbcluster: waiting for f",
        "Cell In[2], line 1",
    ],
)
def test_other_places_of_that_name_are_not(text: str) -> None:
    assert frames_of_ours(text) == []

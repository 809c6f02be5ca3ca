"""Runs tests under the project's own conftest, for the stories of what it guards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RunInner = Callable[..., pytest.RunResult]


@pytest.fixture
def run_inner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RunInner:
    """Run tests in a process of their own, at a developer's or in CI."""
    pytester: pytest.Pytester = request.getfixturevalue("pytester")

    def run(source: str, *options: str, ci: str = "") -> pytest.RunResult:
        monkeypatch.setenv("CI", ci)
        conftest = (
            (HERE.parent / "conftest.py").read_text().replace("LEFTOVER_GRACE = 20.0", "LEFTOVER_GRACE = 0.2")
        )
        pytester.makeconftest(conftest)
        directory = pytester.mkdir("integration")
        (directory / "test_inner.py").write_text(source)
        return pytester.runpytest_subprocess("integration", "-p", "no:cacheprovider", *options)

    return run

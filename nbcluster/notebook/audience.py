"""Whether anybody sees a panel: what its views in pages say of themselves. Knows no page and no clock."""

from __future__ import annotations

GRACE = 60.0
"""Seconds for which it is taken as seen though no page has said so: one that cannot be heard now may see it."""


class Audience:
    """The views of one panel."""

    def __init__(self) -> None:
        self._views: dict[str, bool] = {}
        self._until = float("-inf")

    def expect(self, now: float) -> None:
        """It is displayed, at this time."""
        self._until = now + GRACE

    def hear(self, view: str, on: bool) -> None:
        """A view says that it is seen now, or no more."""
        self._views[view] = on

    def leave(self) -> None:
        """Nobody sees it from now on."""
        self._views = {"": False}

    def is_there(self, now: float) -> bool:
        """Whether anybody sees it."""
        return any(self._views.values()) or (not self._views and now < self._until)

"""Has a notebook show values of some types in our way. By name: nothing is imported for it. Knows no types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class ShownAs:
    """Types that are displayed by a function of ours.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    types : sequence of (str, str)
        The module and the name of each.
    show : callable
        Displays a value in the running cell.
    """

    def __init__(self, shell: Any, types: Sequence[tuple[str, str]], show: Callable[[Any], None]) -> None:
        self._formatter = shell.display_formatter.ipython_display_formatter
        self._types, self._show = types, show

    def install(self) -> None:
        """Show them in this way from now on."""
        for kind in self._types:
            self._formatter.for_type_by_name(*kind, self._show)

    def uninstall(self) -> None:
        """Show them as anything else is shown."""
        for kind in self._types:
            self._formatter.pop(".".join(kind), None)

"""Shows the value of a cell's last expression, and keeps the latest of them for each namespace. Knows no messages."""

from __future__ import annotations

from typing import Any

from ipykernel.displayhook import ZMQShellDisplayHook

from nbcluster.engine import namespaces


class NamespaceDisplayHook(ZMQShellDisplayHook):  # type: ignore[misc]  # ipykernel's classes are not typed
    """ipykernel's, where `_`, `__` and `___` are what was shown in the namespace that asks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._own_latest: list[Any] = ["", "", ""]
        super().__init__(*args, **kwargs)

    def _latest(self) -> list[Any]:
        inside = namespaces.inside()
        return self._own_latest if inside is None else inside.latest

    def _get(self, age: int) -> Any:
        return self._latest()[age]

    def _set(self, value: Any, age: int) -> None:
        self._latest()[age] = value

    _ = property(lambda self: self._get(0), lambda self, value: self._set(value, 0))
    __ = property(lambda self: self._get(1), lambda self, value: self._set(value, 1))
    ___ = property(lambda self: self._get(2), lambda self, value: self._set(value, 2))

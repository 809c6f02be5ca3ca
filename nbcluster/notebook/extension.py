"""Loads nbcluster into an IPython shell and takes it out again. Knows names of magics, not what they do."""

from __future__ import annotations

import atexit
from typing import Any

from nbcluster.client.futures import before_raise
from nbcluster.client.mapping import Map, loop_left
from nbcluster.client.progress import viewers
from nbcluster.notebook.completion import CellMatcher
from nbcluster.notebook.errors import ErrorDrawing, install
from nbcluster.notebook.inspection import CellInspection
from nbcluster.notebook.magics import NbclusterMagics
from nbcluster.payload.modules import MODULES

_OURS = "nbcluster"
_loaded: dict[int, Loaded] = {}


class Loaded:
    """What was put into a shell.

    Parameters
    ----------
    shell : InteractiveShell
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.magics = NbclusterMagics(shell)
        self._errors: ErrorDrawing = install(shell)
        before_raise.append(self.magics.explain)
        self._maps_left: list[Map] = []
        self._map_left = self._maps_left.append  # one object, to know it again
        loop_left.append(self._map_left)
        self._matcher = CellMatcher(lambda: self.magics.clusters, self.magics.expand)
        self._names = self._register()
        shell.Completer.custom_matchers.append(self._matcher)
        shell.events.register("pre_run_cell", self._before_cell)
        kernel = getattr(shell, "kernel", None)
        self._inspection = CellInspection(kernel, lambda: self.magics.clusters, self.magics.expand)
        self._inspection.install()
        if self.magics.views is not None:
            viewers.append(self.magics.views.view)
        self.magics.call_outputs.begin()  # for the rest of the cell that loads this
        if self.magics.futures is not None:
            self.magics.futures.install()
        if self.magics.panels is not None:
            self.magics.panels.install()
        for panels in self.magics.live_panels:
            panels.install()
        shell.events.register("post_run_cell", self._after_cell)

    def unload(self) -> None:
        """Take everything out, except what another package has put in its place since."""
        self._shell.events.unregister("pre_run_cell", self._before_cell)
        if self._matcher in self._shell.Completer.custom_matchers:
            self._shell.Completer.custom_matchers.remove(self._matcher)
        for kind, name in self._names:
            known = self._shell.magics_manager.magics[kind]
            if owner(known.get(name)) == _OURS:
                del known[name]
        self._shell.events.unregister("post_run_cell", self._after_cell)
        self.magics.call_outputs.close()
        if self.magics.views is not None:
            if self.magics.views.view in viewers:
                viewers.remove(self.magics.views.view)
            self.magics.views.close()
        if self.magics.consoles is not None:
            self.magics.consoles.close()
        if self.magics.comms is not None:
            self.magics.comms.close()
        self._inspection.uninstall()
        if self.magics.futures is not None:
            self.magics.futures.uninstall()
        if self.magics.panels is not None:
            self.magics.panels.uninstall()
        for panels in self.magics.live_panels:
            panels.uninstall()
        before_raise.remove(self.magics.explain)
        loop_left.remove(self._map_left)
        self._errors.uninstall()
        self.magics.late.close()

    def _register(self) -> list[tuple[str, str]]:
        manager = self._shell.magics_manager
        taken = {kind: owner(manager.magics[kind].get("distributed")) for kind in ("cell", "line")}
        # The words of the lines are expanded by the grammar, and code is never touched.
        ours: list[tuple[str, str, Any]] = [
            ("cell", "distributed", self.magics.distributed),
            ("line", "distributed", self.magics.distributed_line),
            ("cell", "nbcluster", self.magics.distributed),
            ("line", "nbcluster", self.magics.distributed_line),
            ("line", "cluster", self.magics.cluster),
        ]
        names = []
        for kind, name, function in ours:
            if name == "distributed" and taken[kind] not in ("", _OURS):
                continue
            manager.register_function(function, magic_kind=kind, magic_name=name)
            names.append((kind, name))
        for kind, sign in (("cell", "%%"), ("line", "%")):
            if taken[kind] not in ("", _OURS):
                _say(
                    f"nbcluster: {sign}distributed belongs to {taken[kind]!r}; "
                    f"use {sign}nbcluster, which does the same as ours."
                )
        return names

    def _before_cell(self, info: Any) -> None:
        if not hasattr(self._shell, "kernel"):
            self.magics.late.draw_due()
        self.magics.call_outputs.begin()
        self._maps_left.clear()

    def _after_cell(self, result: Any) -> None:
        left = self._maps_left.copy()
        self._maps_left.clear()
        if isinstance(result.error_in_exec, KeyboardInterrupt):
            for each in left:  # it came in the body of their loops
                each.cancel()
        if self.magics.views is not None:
            self.magics.views.cell_ended()
        self.magics.call_outputs.end()
        MODULES.look()  # which version of its modules the cell has imported
        # The cell may have imported ipywidgets, which takes the control target for its own widgets alone.
        if self.magics.comms is not None:
            self.magics.comms.keep_control()


def load_ipython_extension(shell: Any) -> None:
    """Register the magics, completion and the drawing of errors: `%load_ext nbcluster`."""
    if id(shell) in _loaded:
        return
    loaded = Loaded(shell)
    _loaded[id(shell)] = loaded
    atexit.register(loaded.magics.late.close)


def unload_ipython_extension(shell: Any) -> None:
    """Take out what load_ipython_extension put in: `%unload_ext nbcluster`. Clusters go on."""
    loaded = _loaded.pop(id(shell), None)
    if loaded is not None:
        atexit.unregister(loaded.magics.late.close)
        loaded.unload()


def loaded_in(shell: Any) -> Loaded:
    """Return what was loaded into a shell."""
    return _loaded[id(shell)]


def owner(magic: Any) -> str:
    """Return the package that a magic comes from; "" when there is no such magic."""
    if magic is None:
        return ""
    function = getattr(magic, "__func__", magic)
    module = getattr(function, "__module__", None) or type(magic).__module__
    return "the notebook itself" if module == "__main__" else str(module).split(".")[0]


def _say(text: str) -> None:
    print(text)  # noqa: T201  # what loading has to tell is printed

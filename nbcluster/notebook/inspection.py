"""Answers Shift-Tab inside %%distributed cells by asking an engine. Knows nothing of engines' kernels.

A kernel's `do_inspect` is the method that the Jupyter protocol's messages end in and that kernels are made to
override; it gets the whole cell. IPython's own inspector gets a name alone, so it could not tell our cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbcluster.errors import NBClusterError
from nbcluster.notebook.clusters import Clusters
from nbcluster.notebook.completion import TIME_LIMIT, place_in_cell
from nbcluster.notebook.grammar import parse_cell

NOTHING: dict[str, Any] = {"status": "ok", "found": False, "data": {}, "metadata": {}}

METHOD = "do_inspect"


class CellInspection:
    """Our place before a notebook kernel's own inspection.

    Parameters
    ----------
    kernel : ipykernel.kernelbase.Kernel
        Of the notebook. One without the method is left alone.
    clusters : callable
        Gives the Clusters that the magics use.
    expand : callable
        Fills in `{expr}` on the magic's line.
    """

    def __init__(self, kernel: Any, clusters: Callable[[], Clusters], expand: Callable[[str], str]) -> None:
        self._kernel, self._clusters, self._expand = kernel, clusters, expand
        self._before: Callable[..., Any] | None = getattr(kernel, METHOD, None)
        self._inspect = self.inspect  # one object, to know it again

    def install(self) -> None:
        """Answer from now on."""
        if self._before is not None:
            setattr(self._kernel, METHOD, self._inspect)

    def uninstall(self) -> None:
        """Let the kernel answer again, unless another package has taken our place."""
        if self._before is None or vars(self._kernel).get(METHOD) is not self._inspect:
            return
        if getattr(self._before, "__func__", None) is getattr(type(self._kernel), METHOD, None):
            delattr(self._kernel, METHOD)
        else:
            setattr(self._kernel, METHOD, self._before)

    def inspect(self, code: str, cursor_pos: int, detail_level: int = 0, *args: Any, **kwargs: Any) -> Any:
        """Return the content of an inspect_reply: the engine's in our cells, else the kernel's own."""
        before = code[:cursor_pos]
        place = place_in_cell(code, before.count("\n"), len(before) - before.rfind("\n") - 1)
        if place is None:
            assert self._before is not None
            return self._before(code, cursor_pos, detail_level, *args, **kwargs)
        try:
            options = parse_cell(place.line, self._expand)
            cluster = self._clusters().current(options.cluster)
            reply = cluster.inspect(
                place.code, place.cursor, detail_level, options.targets, TIME_LIMIT, options.namespace
            )
        except (NBClusterError, TimeoutError):
            # A question in passing: that there is no cluster is said when the cell runs.
            return NOTHING
        return {**NOTHING, **reply}

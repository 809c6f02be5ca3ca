"""Leaves what a cell's view shows where the Jupyter server finds it, for pages that are loaded again. Draws nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from nbcluster.client.viewfiles import ViewFile, ViewSeen, directory_of
from nbcluster.core.board import Board
from nbcluster.drawing.graph import GraphShown
from nbcluster.errors import NBClusterError
from nbcluster.notebook.stopping import kernel_id
from nbcluster.transport.rendezvous import connection_path, read_connection_file


class LeftView:
    """What one cell's view shows, in a file; nothing where no page could ask for it.

    Parameters
    ----------
    shell : InteractiveShell
        Of a notebook kernel.
    cluster : str
        The name of the cluster.
    parent : mapping
        The request that runs the cell.
    model : str
        The widget that shows it.
    """

    def __init__(self, shell: Any, cluster: str, parent: Mapping[str, Any], model: str) -> None:
        self._file: ViewFile | None = None
        self._stays: Mapping[str, str] = {}
        self._cluster, self._view = cluster, uuid4().hex
        kernel, cell = kernel_id(shell), str(parent.get("metadata", {}).get("cellId") or "")
        if not kernel or not cell:
            return  # no Jupyter server has started it, or it is no notebook's cell
        # The shell's execution_count is already that of the next cell in newer versions of IPython.
        count = len(shell.history_manager.input_hist_parsed) - 1
        seen = ViewSeen(self._view, kernel, cell, model, count, os.getpid())
        try:
            directory = directory_of(read_connection_file(connection_path(cluster)))
            self._file = ViewFile(directory, seen) if directory is not None else None
        except (NBClusterError, OSError):
            return  # the cluster has ended, or is not this user's: the page that is there shows it all the same

    @property
    def address(self) -> dict[str, str]:
        """By which a page asks for it; empty when it cannot."""
        return {"cluster": self._cluster, "view": self._view} if self._file is not None else {}

    def show(
        self,
        parts: Mapping[str, str],
        said: str,
        stop: Mapping[str, str],
        board: Board,
        graph: GraphShown | None,
    ) -> None:
        """It shows this now."""
        if self._file is not None:
            try:
                self._file.show(parts, said, stop)
                self._file.show_board(board, graph)
            except OSError:
                self._file = None  # the cluster has ended, and its directory with it

    def stay(self, bundle: Mapping[str, str]) -> None:
        """This stays of what the cell waited for; it may wait again."""
        self._stays = bundle
        self._leave(is_done=False)

    def end(self) -> None:
        """The cell has ended."""
        if self._stays:
            self._leave(is_done=True)

    def _leave(self, *, is_done: bool) -> None:
        if self._file is not None:
            try:
                self._file.stay(self._stays, is_done=is_done)
            except OSError:
                self._file = None  # as above

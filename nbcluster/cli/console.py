"""The verb `console`: Jupyter's terminal on one engine. Knows how to reach an engine, not what runs there.

`jupyter console --existing` passes no CurveZMQ keys and cannot interrupt a kernel that it did not start; here the
keys come from the engine's connection file, and the controller interrupts.
"""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Any

from jupyter_client.consoleapp import JupyterConsoleApp
from jupyter_console.app import ZMQTerminalIPythonApp
from jupyter_console.ptshell import ZMQTerminalInteractiveShell

from nbcluster.cli.words import engines_words, which
from nbcluster.client.cluster import Cluster
from nbcluster.errors import NoEngines, UnknownTarget


class EngineShell(ZMQTerminalInteractiveShell):  # type: ignore[misc]  # jupyter_console is not typed
    """A console whose own `exit` leaves it; the engine never sees the word."""

    def run_cell(self, cell: str, store_history: bool = True) -> None:
        """Run what was typed."""
        if cell.strip().removesuffix("()") in ("exit", "quit"):
            self.ask_exit()
            return
        super().run_cell(cell, store_history)


class EngineConsole(ZMQTerminalIPythonApp):  # type: ignore[misc]  # jupyter_console is not typed
    """A console on an engine of a cluster."""

    name = "nbcluster-console"
    cluster: Cluster
    engine: int

    def init_shell(self) -> None:
        """Connect, and make the shell: ours in place of the one that the app would make."""
        JupyterConsoleApp.initialize(self)
        signal.signal(signal.SIGINT, self.handle_sigint)
        self.shell = EngineShell.instance(parent=self, manager=None, client=self.kernel_client)
        self.shell.own_kernel = False

    def init_kernel_client(self) -> None:
        """Make the client of an existing kernel, with its keys."""
        self.kernel_client = self.kernel_client_class(
            session=self.session, connection_file=self.connection_file, parent=self
        )
        self.kernel_client.load_connection_file()
        self.kernel_client.start_channels()

    def handle_sigint(self, *args: Any) -> None:
        """Interrupt the engine while it runs a cell of this console; otherwise begin a new prompt."""
        if not self.shell._executing:
            raise KeyboardInterrupt
        self.cluster.interrupt(self.engine)


def console(arguments: argparse.Namespace) -> int:
    """Open a terminal on an engine."""
    cluster = Cluster.connect(which(arguments.name))
    engines = cluster.engines
    if not engines:
        raise NoEngines(
            f"cluster {cluster.name!r} has no engines; `nbcluster scale N {cluster.name}` starts some"
        )
    found = next((engine for engine in engines if engine.number == arguments.engine), None)
    if found is None:
        raise UnknownTarget(
            f"there is no engine {arguments.engine}; cluster {cluster.name!r} has {engines_words(engines)}"
        )
    print(
        f"engine {found.number} of cluster {cluster.name!r} ({found.kernel}); leaving does not end it",
        flush=True,
    )
    app = EngineConsole.instance()
    app.cluster, app.engine = cluster, found.number
    simple = [] if sys.stdin.isatty() else ["--simple-prompt"]
    app.initialize(["--existing", found.connection_file, "--no-confirm-exit", *simple])
    app.start()
    return 0

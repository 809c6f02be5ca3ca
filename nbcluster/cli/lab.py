"""The verb `lab`: JupyterLab beside a cluster that is ready, and that ends with it. Knows nothing of what Lab shows."""

from __future__ import annotations

import argparse
import importlib.util
import signal
import subprocess
import sys
from types import FrameType

from nbcluster.cli.words import engines_words, leave_out_own_directory
from nbcluster.client.cluster import Cluster
from nbcluster.errors import LauncherError

OWN_IDLE = 60.0
"""Seconds that a cluster started here stays without clients when this process is killed."""


def lab(arguments: argparse.Namespace) -> int:
    """Start or join a cluster, run JupyterLab to its end, and end what was started.

    Raises
    ------
    LauncherError
        When JupyterLab is not installed.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise LauncherError(
            f"JupyterLab is not installed for {sys.executable}; `pip install jupyterlab` installs it, and "
            "`nbcluster start` gives a cluster to any other front end"
        )
    leave_out_own_directory()
    cluster = Cluster(arguments.n, name=arguments.name, kernel=arguments.kernel, idle_timeout=OWN_IDLE)
    try:
        until = "ends with JupyterLab" if cluster.started_here else "ran before, and goes on"
        print(
            f"cluster {cluster.name!r} is ready with {engines_words(cluster.engines)}; it {until}\n"
            f"  in a notebook: %load_ext nbcluster, then %cluster connect {cluster.name}",
            flush=True,
        )
        return _run([sys.executable, "-m", "jupyterlab", *arguments.arguments])
    finally:
        if cluster.started_here and cluster.is_connected:
            cluster.stop(force=True)


def _run(command: list[str]) -> int:
    """Run a program that asks itself what Ctrl-C means; other signals that end us end it first."""
    process = subprocess.Popen(command)

    def end(signum: int, frame: FrameType | None) -> None:
        process.terminate()

    before = {signum: signal.signal(signum, end) for signum in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    return code if code >= 0 else 128 - code

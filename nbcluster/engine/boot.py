"""Becomes an engine in this process: ties it to the lifeline and runs the kernel application.

Run as `python -m nbcluster.engine.boot ARGUMENTS` where engines are not forked. Knows no supervisor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from nbcluster.engine import lifeline


def become_engine(argv: Sequence[str], lifeline_fd: int | None) -> int:
    """Run the kernel application until the kernel is shut down.

    Parameters
    ----------
    argv : sequence of str
        Arguments of the kernel application, see `arguments.kernel_argv`.
    lifeline_fd : int or None
        Read end of the lifeline; None for an engine that lives on its own.
    """
    if lifeline_fd is not None:
        os.environ[lifeline.VARIABLE] = str(lifeline_fd)
        lifeline.end_with_lifeline(lifeline_fd)
    sys.argv = ["nbcluster-engine", *argv]
    from nbcluster.engine.app import EngineApp

    EngineApp.launch_instance(argv=list(argv))
    return 0


def main() -> int:
    """Run as a program of its own."""
    fd = os.environ.get(lifeline.VARIABLE)
    if not sys.flags.safe_path:
        del sys.path[0]  # the directory that -m put there: it is the user's, for the kernel to add
    os.environ.pop("JPY_PARENT_PID", None)
    path = os.environ.pop("NBCLUSTER_PATH", "")
    sys.path[:0] = [entry for entry in path.split(os.pathsep) if entry]
    return become_engine(sys.argv[1:], None if fd is None else int(fd))


if __name__ == "__main__":
    sys.exit(main())

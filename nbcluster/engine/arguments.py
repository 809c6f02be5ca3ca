"""The arguments that make a Python kernel an engine. Knows nothing of how it is started."""

from __future__ import annotations

EXECUTE_SLEEP = "_execute_sleep"
"""A configurable trait of ipykernel with a private name, listed in `seams`."""


def kernel_argv(connection_file: str) -> tuple[str, ...]:
    """Return the arguments of the kernel application of an engine.

    Parameters
    ----------
    connection_file : str
        Path of the Jupyter connection file that the kernel shall serve.

    Examples
    --------
    >>> kernel_argv("/run/k.json")[:2]
    ('-f', '/run/k.json')
    """
    return (
        "-f",
        connection_file,
        "--IPKernelApp.kernel_class=nbcluster.engine.kernel.EngineKernel",
        "--IPKernelApp.outstream_class=nbcluster.engine.outstream.PromptStream",
        # 1 is no parent to watch (ipykernel's own rule), and keeps its advice about Ctrl-C out of the log.
        "--IPKernelApp.parent_handle=1",
        "--HistoryManager.enabled=False",
        # Jedi takes 0.6 s for the first Tab and seconds for a large module; the namespace itself answers in 10 ms.
        "--IPCompleter.use_jedi=False",
        "--Session.packer=nbcluster.engine.packing.pack",
        "--Session.unpacker=nbcluster.engine.packing.unpack",
        # Our output stream has sent everything when a flush returns: nothing to wait for.
        f"--IPythonKernel.{EXECUTE_SLEEP}=0.0",
    )

"""The private parts of ipykernel that engines lean on, in one list; each has a test. Knows no cluster.

To be given up when ipykernel offers a public way:

- `CANCELLER`: the module whose function is the SIGINT handler while a cell awaits. It schedules the
  cell's cancellation on the loop, but does not wake the loop, and cannot stop the part of such a cell
  that computes. Our handler stands before it and does both.
- `SHOW_TRACEBACK`: the shell's method that publishes an error whose lines are drawn; IPython does not
  publish what a handler of `set_custom_exc` returns.
- `EXECUTE_SLEEP`: a configurable trait of the kernel, public as configuration, with a private name.
- `SUBSCRIPTION_STREAM`, `HANDLE_SUBSCRIPTION`: what reads the subscriptions of the iopub socket, and what
  ipykernel does with them. We read along, to know whether anyone listens.
- `WATCH_PIPE`: what the thread of an output stream runs, which reads what was written to the descriptor (`RAW_PIPE`)
  and copies it to where the descriptor led before (`RAW_COPY`). Ours can be told to read all, when a call ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipykernel
import zmq

from nbcluster.engine.arguments import EXECUTE_SLEEP

CANCELLER = "ipykernel.ipkernel"
SHOW_TRACEBACK = "_showtraceback"
SUBSCRIPTION_STREAM = "_xpub_stream"
HANDLE_SUBSCRIPTION = "_handle_subscription"
WATCH_PIPE = "_watch_pipe_fd"
RAW_PIPE = "_fid"
RAW_COPY = "_original_stdstream_copy"

__all__ = ["CANCELLER", "EXECUTE_SLEEP", "SHOW_TRACEBACK", "TESTED", "hear_subscriptions", "why_untested"]

TESTED = (7,)
"""The major versions of ipykernel that the tests have passed with."""


def why_untested() -> str:
    """Return a sentence when this ipykernel is of a version that was not tested, else ""."""
    if ipykernel.version_info[0] in TESTED:
        return ""
    return (
        f"nbcluster was tested with ipykernel {', '.join(map(str, TESTED))}, this is "
        f"{ipykernel.__version__}: interrupts of cells that await may be slow"
    )


def hear_subscriptions(iopub_thread: Any, heard: Callable[[bytes], None]) -> Callable[[], None]:
    """Have a callback given every frame that subscribers send, before ipykernel answers it.

    Returns
    -------
    callable
        Looks for frames that have come. zmq tells of them once, and a send at that moment swallows it.
    """
    stream = getattr(iopub_thread, SUBSCRIPTION_STREAM)
    answer = getattr(iopub_thread, HANDLE_SUBSCRIPTION)

    def hear(frames: list[bytes]) -> None:
        for frame in frames:
            heard(frame)
        answer(frames)

    iopub_thread.schedule(lambda: stream.on_recv(hear))
    return lambda: iopub_thread.schedule(lambda: stream.flush(zmq.POLLIN))

"""The private parts of ipykernel that engines lean on, in one list; each has a test. Knows no cluster.

To be given up when ipykernel offers a public way:

- `CANCELLER`: the module whose function is the SIGINT handler while a cell awaits. It schedules the
  cell's cancellation on the loop, but does not wake the loop, and cannot stop the part of such a cell
  that computes. Our handler stands before it and does both.
- `SHOW_TRACEBACK`: the shell's method that publishes an error whose lines are drawn; IPython does not
  publish what a handler of `set_custom_exc` returns.
- `EXECUTE_SLEEP`: a configurable trait of the kernel, public as configuration, with a private name.
"""

from __future__ import annotations

import ipykernel

from nbcluster.engine.arguments import EXECUTE_SLEEP

CANCELLER = "ipykernel.ipkernel"
SHOW_TRACEBACK = "_showtraceback"

__all__ = ["CANCELLER", "EXECUTE_SLEEP", "SHOW_TRACEBACK", "TESTED", "why_untested"]

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

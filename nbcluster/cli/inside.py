"""What `nbcluster run` calls in the notebook's kernel after the last cell. Knows nothing of the run."""

from __future__ import annotations

import concurrent.futures
from contextlib import suppress


def wait_for_late_output() -> None:
    """Wait until every cell that this notebook has sent has ended, and everything that it shows was sent."""
    from IPython import get_ipython

    from nbcluster.client.current import known_clusters
    from nbcluster.notebook.extension import loaded_in

    for cluster in known_clusters():
        concurrent.futures.wait(cluster.unfinished)
    with suppress(KeyError):  # the notebook has taken the extension out
        loaded_in(get_ipython()).magics.late.close()

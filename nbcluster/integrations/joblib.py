"""A backend of joblib: importing this makes the name "nbcluster" known to it. Knows calls, and nothing of arrays."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any

import joblib
from joblib.disk import memstr_to_bytes
from joblib.parallel import AutoBatchingMixin, ParallelBackendBase

from nbcluster.client.callfutures import CallFuture
from nbcluster.client.submitting import Submission
from nbcluster.engine.lending import lender_here
from nbcluster.errors import UsageError
from nbcluster.integrations.arrays import Shelf
from nbcluster.integrations.batches import RunBatch

NAME = "nbcluster"

ABORTED = "cancelled: another task of its joblib.Parallel failed, or its results are not wanted any more"


class NBClusterBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib is not typed
    """Runs batches of `joblib.Parallel` on a cluster.

    Parameters
    ----------
    cluster : Cluster, optional
        By default the current one.
    nesting_level : int, optional
        How many calls of Parallel this one is in.
    **options
        Options of `Cluster.options`, for every batch: priority, resources, retries, ...

    Examples
    --------
    >>> with joblib.parallel_config("nbcluster", cluster=cluster):  # doctest: +SKIP
    ...     joblib.Parallel()(joblib.delayed(pow)(2, n) for n in range(100))
    """

    supports_retrieve_callback = True
    uses_threads = False
    supports_sharedmem = False
    default_n_jobs = -1

    def __init__(self, cluster: Any = None, nesting_level: int | None = None, **options: Any) -> None:
        super().__init__(nesting_level=nesting_level)
        if options.get("key"):
            raise UsageError("a key names one call, and joblib makes many; use label=")
        self._cluster = cluster
        self._options = options
        self._sending: Submission | None = None
        self._flying: set[CallFuture] = set()
        self._shelf: Shelf | None = None
        self._kinds: dict[str, RunBatch] = {}
        self._context: Context = copy_context()
        if nesting_level:
            self.default_n_jobs = 1  # as in joblib: what is inside is parallel when it is told so

    @property
    def submission(self) -> Submission:
        """What batches are sent through."""
        if self._sending is None:
            from nbcluster.client.current import current_cluster

            cluster = current_cluster() if self._cluster is None else self._cluster
            self._sending = cluster.options(**self._options).submission
        return self._sending

    # -- what joblib asks ---------------------------------------------------------------------

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many batches run at once: as many as there are engines for -1."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        wanted = self.default_n_jobs if n_jobs is None else n_jobs
        return wanted if wanted > 0 else max(self.submission.workers + 1 + wanted, 1)

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        max_nbytes: int | str | None = "1M",
        mmap_mode: str | None = "r",
        temp_folder: str | None = None,
        **others: Any,
    ) -> int:
        """Make ready for a call of Parallel; return how many batches run at once."""
        self.parallel = parallel
        # A call on an engine that waits must do so in Future.result(), which lends the engine meanwhile, and not in
        # joblib's sleep. Its batches are all sent at once, by the thread that waits.
        self.supports_retrieve_callback = lender_here() is None
        if not self.supports_retrieve_callback:
            parallel.pre_dispatch = "all"
        limit: int | None = memstr_to_bytes(max_nbytes) if isinstance(max_nbytes, str) else max_nbytes
        folder = temp_folder or os.environ.get("JOBLIB_TEMP_FOLDER")
        new_path = self.submission.calls.sharing.new_path
        self._shelf = Shelf(limit, mmap_mode, folder, new_path) if self._is_all_here() else None
        return self.effective_n_jobs(n_jobs)

    def _is_all_here(self) -> bool:
        """Whether every engine sees the files of this host."""
        return self.submission.hosts <= {socket.gethostname(), ""}

    def start_call(self) -> None:
        """Note what the call of Parallel belongs to: later batches are sent by another thread."""
        self._context = copy_context()

    def stop_call(self) -> None:
        """Let go of what the tasks of the call shared."""
        if self._shelf is not None:
            self._shelf.clear()

    def terminate(self) -> None:
        """End; the cluster goes on."""
        self.stop_call()
        self.reset_batch_stats()

    def submit(self, func: Any, callback: Callable[[Any], object] | None = None) -> CallFuture:
        """Send a batch."""
        submission = self.submission
        submission.calls.wait_room()
        if self._shelf is not None:
            func.items = [
                (function, self._shelf.lighten(args), self._shelf.lighten(kwargs))
                for function, args, kwargs in func.items
            ]
        name = _name_of(func.items[0][0]) if func.items else "batch"
        run = self._kinds.setdefault(name, RunBatch(name))
        future = self._context.copy().run(submission.send, run, (func,), {}, label=name)
        self._flying.add(future)
        future.tell_when_done(self._flying.discard)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: CallFuture) -> Any:
        """Return the results of a batch that has ended."""
        return out.result()

    def retrieve_result(self, out: CallFuture, timeout: float | None = None) -> Any:
        """Wait for the results of a batch, in the thread that wants them."""
        return out.result(timeout)

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Withdraw and interrupt what is on its way."""
        flying = list(self._flying)
        if flying:
            self.submission.calls.stop_soon([future.task for future in flying], ABORTED)

    def get_nested_backend(self) -> tuple[NBClusterBackend, int | None]:
        """Return what a Parallel inside of a task uses: the same cluster."""
        return NBClusterBackend(nesting_level=(self.nesting_level or 0) + 1, **self._options), None

    def __reduce__(self) -> Any:
        return _nested, (self.nesting_level, self._options)


def _nested(nesting_level: int | None, options: dict[str, Any]) -> NBClusterBackend:
    return NBClusterBackend(nesting_level=nesting_level, **options)


def _name_of(function: Any) -> str:
    function = getattr(function, "function", function)  # scikit-learn wraps what it runs
    function = getattr(function, "func", function)
    return str(getattr(function, "__name__", type(function).__name__))


@contextmanager
def parallel(cluster: Any, n_jobs: int, options: dict[str, Any]) -> Iterator[None]:
    """Have every `joblib.Parallel` in a block run on a cluster. See `Cluster.joblib`."""
    with joblib.parallel_config(NAME, n_jobs=n_jobs, cluster=cluster, **options):
        yield


def register() -> None:
    """Make the name known to joblib."""
    joblib.register_parallel_backend(NAME, NBClusterBackend)


register()

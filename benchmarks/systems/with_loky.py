"""Drives loky, joblib's own processes: what GridSearchCV(n_jobs=2) runs in when nobody says otherwise."""

from __future__ import annotations

from benchmarks import work


class Driver:
    """joblib with its default backend. Its workers stay for the next call."""

    name = "loky"
    module = "joblib"

    def start(self, n: int) -> None:
        self.workers = n
        self.do_nothing(n)

    def do_nothing(self, engines: int) -> None:
        from joblib import Parallel, delayed, parallel_config

        with parallel_config("loky", n_jobs=self.workers):
            Parallel()(delayed(work.nothing)() for _ in range(engines))

    def stop(self) -> None:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)

    def grid_search(self) -> float:
        from joblib import parallel_config

        with parallel_config("loky", n_jobs=self.workers):
            return work.search()

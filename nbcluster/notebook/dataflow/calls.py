"""What calls of builtins and of imported functions do to their arguments and to modules. Pure tables."""

from __future__ import annotations

from nbcluster.notebook.dataflow.families import ARRAY, ATOM, FRAME, RNG, Family, words

HARMLESS = words(
    "print len repr str int float bool complex abs round hash format ascii bin hex oct ord chr "
    "isinstance issubclass callable type getattr hasattr sum min max sorted any all list tuple set "
    "dict frozenset range display divmod pow bytes bytearray slice dir help id"
)
"""Builtins that change none of their arguments, also when the value is thrown away."""

ATOMS = words(
    "len repr str int float bool complex abs round hash format ascii bin hex oct ord chr isinstance "
    "issubclass callable range hasattr bytes id any all"
)
"""Builtins whose value cannot be changed, at least for what is builtin itself (abs and round of an array are new)."""

LAZY = words("iter map filter zip enumerate reversed")
"""Builtins whose value is used up by reading."""

HOLDING = words(
    "list tuple set dict frozenset sorted min max sum getattr iter map filter zip enumerate reversed "
    "next vars type super memoryview classmethod staticmethod property"
)
"""Builtins whose value holds parts of the arguments."""

CHANGING = frozenset(("next", "setattr", "delattr"))
"""Builtins that change their first argument, also when the value is used."""

OPAQUE = {
    "exec": "runs code that is not in the cell",
    "eval": "runs code that is not in the cell",
    "globals": "may read and write every name",
    "locals": "may read and write every name",
    "vars": "may read and write every name",
    "__import__": "imports what is not named in the cell",
    "breakpoint": "stops for the debugger",
    "input": "asks for input, which nobody can answer on an engine",
}

VIEWING = words(
    "asarray asanyarray atleast_1d atleast_2d atleast_3d ravel reshape transpose squeeze swapaxes "
    "moveaxis rollaxis broadcast_to broadcast_arrays split array_split hsplit vsplit expand_dims "
    "diagonal nditer frombuffer copy partial nlargest nsmallest reduce chain islice tee cycle repeat "
    "product permutations combinations groupby starmap zip_longest accumulate takewhile dropwhile "
    "filterfalse pairwise SimpleNamespace deque Counter defaultdict OrderedDict ChainMap methodcaller "
    "attrgetter itemgetter ref proxy Series DataFrame Index array"
)
"""Imported functions, by their last name, whose value may share objects with the arguments."""

STATELESS = words(
    "time.sleep time.time time.perf_counter time.monotonic time.process_time gc.collect asyncio.sleep "
    "asyncio.gather asyncio.run numpy.random.default_rng numpy.random.Generator "
    "numpy.random.SeedSequence numpy.random.PCG64 numpy.random.RandomState random.Random "
    "random.SystemRandom os.path.join os.path.exists os.path.basename os.path.dirname os.getpid "
    "os.cpu_count IPython.display.display math.sqrt threading.get_ident numpy.random.MT19937 "
    "numpy.random.Philox nbcluster.report nbcluster.engine.reports.report"
)
"""Imported functions that touch no state of their module, though it has one or their value is thrown away."""

DECORATORS = words(
    "functools.lru_cache functools.cache functools.wraps functools.singledispatch numba.njit "
    "numba.jit contextlib.contextmanager contextlib.asynccontextmanager staticmethod classmethod "
    "property dataclasses.dataclass functools.total_ordering functools.cached_property enum.unique"
)
"""Decorators that may be applied again on each engine."""


_MAKES_FRAMES = words(
    "pandas.read_csv pandas.read_table pandas.read_parquet pandas.read_feather pandas.read_fwf pandas.DataFrame "
    "pandas.Series pandas.merge pandas.date_range pandas.concat"
)
_MAKES_ARRAYS = words(
    "numpy.zeros numpy.ones numpy.empty numpy.full numpy.arange numpy.linspace numpy.eye numpy.hstack numpy.vstack "
    "numpy.concatenate numpy.array numpy.zeros_like numpy.ones_like"
)


def state_of(path: str) -> str | None:
    """Return the state that any use of something imported touches.

    Examples
    --------
    >>> state_of("numpy.random.seed")
    'numpy.random'
    >>> state_of("numpy.zeros")
    """
    if path in STATELESS:
        return None
    parts = path.split(".")
    if parts[:2] == ["numpy", "random"] and len(parts) > 2:
        return "numpy.random"
    if parts[0] == "random" and len(parts) > 1:
        return "random"
    if parts[0] in ("matplotlib", "seaborn", "pylab"):
        return (
            "matplotlib"
            if parts[:2] in (["matplotlib", "pyplot"], ["pylab"]) or parts[0] != "matplotlib"
            else None
        )
    if path in (
        "os.environ",
        "os.getenv",
        "os.putenv",
        "os.unsetenv",
        "os.chdir",
        "os.getcwd",
        "os.environb",
    ):
        return "os"
    if path.startswith("os.environ."):
        return "os"
    if parts[0] == "sys" and len(parts) > 1 and parts[1] in ("path", "modules", "argv"):
        return "sys"
    return None


def package_state(path: str) -> str:
    """Return the state of the package of something imported."""
    return state_of(path) or path.partition(".")[0]


def result_of(path: str) -> Family | None:
    """Return the family of what an imported function returns, where it is known."""
    if path in (
        "numpy.random.default_rng",
        "random.Random",
        "numpy.random.RandomState",
        "numpy.random.Generator",
    ):
        return RNG
    if path in _MAKES_FRAMES:
        return FRAME
    if path in _MAKES_ARRAYS:
        return ARRAY
    if path.startswith("math.") or path in (
        "random.random",
        "random.randint",
        "random.uniform",
        "random.gauss",
    ):
        return ATOM
    return None

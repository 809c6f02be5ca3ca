"""Which methods of which types leave their object as it is, and whether what they return is new. Pure tables.

A *family* stands for types that behave alike here: "atom" cannot be changed, "array" and "frame" are numpy's and
pandas's. What is in no table is taken to change its object.
"""

from __future__ import annotations

from dataclasses import dataclass


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


@dataclass(frozen=True)
class Family:
    """What is known of the type of a value. `element` is that of what it holds."""

    name: str
    element: Family | None = None


ATOM = Family("atom")
ARRAY = Family("array")
FRAME = Family("frame")
RNG = Family("rng")

_ATOMS = words(
    "int float complex bool str bytes NoneType range ellipsis date datetime time timedelta timezone "
    "Decimal Fraction UUID PosixPath PurePosixPath WindowsPath Pattern Match Timestamp Timedelta "
    "Period NaTType"
)
_FRAMES = words(
    "DataFrame Series Index RangeIndex MultiIndex DatetimeIndex CategoricalIndex TimedeltaIndex "
    "DataFrameGroupBy SeriesGroupBy Rolling Expanding Categorical"
)
_ATOMIC = words("builtins datetime decimal fractions uuid pathlib re pandas _decimal")
_CONTAINERS = ("list", "tuple", "dict", "set", "frozenset", "deque", "Counter", "defaultdict", "OrderedDict")


def family_of(type_name: str) -> Family | None:
    """Return the family of a type, by its module and name as `type_name` gives them; None when nothing is known.

    Examples
    --------
    >>> family_of("pandas.core.frame.DataFrame").name
    'frame'
    >>> family_of("builtins.list[builtins.int]").element.name
    'atom'
    """
    outer, bracket, inner = type_name.partition("[")
    module, _, name = outer.rpartition(".")
    package = module.partition(".")[0]
    if package == "numpy":
        if module.startswith("numpy.random"):
            return RNG
        return ARRAY if name == "ndarray" else ATOM if bracket == "" and name.islower() else None
    if package == "pandas" and name in _FRAMES:
        return FRAME
    if package in _ATOMIC and name in _ATOMS:
        return ATOM
    if package in ("builtins", "collections") and name in _CONTAINERS:
        return Family(name, family_of(inner[:-1]) if inner else None)
    return None


@dataclass(frozen=True)
class Method:
    """What a method does: whether its object stays as it is, whether the result is new, and of which family."""

    harmless: bool
    fresh: bool
    family: Family | None = None


_TEXT_LISTS = words("split rsplit splitlines partition rpartition parents parts groups")
_SAME_ARRAY = words("reshape ravel transpose view squeeze swapaxes diagonal real imag")
_NEW_ARRAY = words(
    "sum mean std var min max argmin argmax argsort copy round cumsum cumprod prod dot astype any all "
    "clip conj conjugate flatten nonzero repeat searchsorted trace take compress choose"
)
_ARRAY_TO_PYTHON = words("item tobytes")
_NEW_FRAME = words(
    "abs add agg aggregate all any apply applymap assign astype between bfill clip combine_first copy "
    "corr corrwith count cov crosstab cummax cummin cumprod cumsum describe diff div dot drop "
    "drop_duplicates dropna dt duplicated eq equals explode ffill fillna first floordiv ge groupby gt "
    "head idxmax idxmin interpolate isin isna isnull join kurt last le lt mask max mean median melt "
    "memory_usage merge min mod mode mul ne nlargest notna notnull nsmallest nunique pct_change pivot "
    "pivot_table pow prod quantile query rank reindex rename replace reset_index resample rolling "
    "round sample select_dtypes sem set_index shift size skew sort_index sort_values stack std sub "
    "sum tail take transform truediv unique unstack value_counts var where xs expanding ewm nth "
    "cumcount ngroup nunique str contains startswith endswith lower upper strip len extract "
    "to_timestamp to_period tz_localize tz_convert normalize floor ceil strftime year month day hour "
    "add_prefix add_suffix map filter pipe to_frame"
)
_SAME_FRAME = words("values T to_numpy squeeze loc iloc at iat items iterrows itertuples get array index")
_FRAME_TO_PYTHON = words("to_string to_csv to_json to_html tolist to_list to_dict to_markdown")
_TAKES_FUNCTION = words("apply applymap agg aggregate map transform pipe filter")

_HARMLESS = {
    "list": frozenset(("copy", "index", "count")),
    "tuple": frozenset(("index", "count")),
    "dict": frozenset(("get", "keys", "values", "items", "copy")),
    "set": words("copy union intersection difference symmetric_difference issubset issuperset isdisjoint"),
}
_HARMLESS |= {
    "frozenset": _HARMLESS["set"],
    "OrderedDict": _HARMLESS["dict"],
    "Counter": _HARMLESS["dict"] | {"most_common", "total", "elements"},
    "defaultdict": _HARMLESS["dict"],
    "deque": _HARMLESS["list"],
}

UNKNOWN = Method(harmless=False, fresh=False)


def method_of(family: Family | None, name: str) -> Method:
    """Return what a method does to an object of a family.

    Examples
    --------
    >>> method_of(FRAME, "mean").harmless, method_of(FRAME, "insert").harmless
    (True, False)
    """
    match family:
        case Family("atom"):
            return Method(True, True, Family("list", ATOM) if name in _TEXT_LISTS else ATOM)
        case Family("array"):
            if name in _NEW_ARRAY:
                return Method(True, True, ARRAY)
            if name in _ARRAY_TO_PYTHON:
                return Method(True, True, ATOM)
            if name == "tolist":
                return Method(True, True, None)
            return Method(True, False, ARRAY) if name in _SAME_ARRAY else UNKNOWN
        case Family("frame"):
            if name in _NEW_FRAME:
                return Method(True, name not in _TAKES_FUNCTION, FRAME)
            if name in _FRAME_TO_PYTHON:
                return Method(True, True, None)
            return Method(True, False, FRAME) if name in _SAME_FRAME else UNKNOWN
        case Family("rng"):
            return Method(False, name not in ("shuffle", "permutation", "permuted", "choice"), ARRAY)
        case Family(kind, element) if name in _HARMLESS.get(kind, ()):
            same = family if name == "copy" else element if name in ("get",) else None
            return Method(True, element == ATOM and name in ("index", "count"), same)
        case _:
            return UNKNOWN


def attribute_of(family: Family | None) -> Family | None:
    """Return the family of an attribute (`df.values`, `a.T`, `df.x`) of an object."""
    return family if family in (ATOM, ARRAY, FRAME) else None


def is_flat(family: Family | None) -> bool:
    """Whether an operator on it gives something that shares nothing with it."""
    return family in (ATOM, ARRAY, FRAME)

"""Reads the lines of %%distributed, %distributed and %cluster into values. Knows no cluster, no IPython."""

from __future__ import annotations

import difflib
import keyword
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from nbcluster.errors import UsageError
from nbcluster.notebook.words import Words

GROUPS = ("order", "engine", "same")
"""The layouts of the output of several engines."""

PROGRESS = ("auto", "on", "off")
"""Whether a cell that takes long shows how far it is."""

Expand = Callable[[str], str]
"""Replaces each `{expr}` of a word by the value that the notebook gives it."""


@dataclass(frozen=True)
class CellOptions:
    """What the line of a distributed cell asks for. `targets` is in the grammar of core.targets."""

    targets: str = ""
    cluster: str | None = None
    name: str | None = None
    """Of `--as`: the name that the Future gets in the notebook."""
    after: tuple[str, ...] = ()
    """Names of Futures that must have succeeded first."""
    background: bool = False
    wait: bool = False
    local: bool = False
    group: str = "order"
    timeout: float | None = None
    startup: bool = False
    fail_fast: bool = False
    push: tuple[str, ...] = ()
    """Names of the notebook that are bound on the engines first."""
    pull: tuple[str, ...] = ()
    """Names of the engines that are bound in the notebook after it."""
    scatter: tuple[str, ...] = ()
    """Names of the notebook of which each engine gets a part first."""
    gather: tuple[str, ...] = ()
    """Names of the engines whose parts are put together in the notebook after it."""
    ship: bool = False
    namespace: str = ""
    live: bool = False
    retries: int = 0
    priority: int = 0
    resources: dict[str, float] = field(default_factory=dict)
    graph: bool = False
    plan: bool = False
    pure: tuple[str, ...] = ()
    """Functions and methods that change nothing, of `--graph`."""
    progress: str | None = None
    """auto, on or off; None: as NBCLUSTER_PROGRESS says."""

    @property
    def blocks(self) -> bool:
        """Whether the notebook waits for the cell."""
        return self.wait or not (self.background or self.name is not None)


_CELL_FLAGS = {
    "--async": "background",
    "--wait": "wait",
    "--local": "local",
    "--startup": "startup",
    "--fail-fast": "fail_fast",
    "--ship": "ship",
    "--live": "live",
    "--graph": "graph",
    "--plan": "plan",
}
_CELL_VALUES = {
    "--cluster": "cluster",
    "--on": "targets",
    "-t": "targets",
    "--targets": "targets",
    "--as": "name",
    "--after": "after",
    "--group": "group",
    "--timeout": "timeout",
    "--push": "push",
    "--pull": "pull",
    "--scatter": "scatter",
    "--gather": "gather",
    "--namespace": "namespace",
    "--retries": "retries",
    "--priority": "priority",
    "--resources": "resources",
    "--pure": "pure",
    "--progress": "progress",
}
CELL_OPTIONS = (*_CELL_FLAGS, *_CELL_VALUES)
"""Every option of %%distributed, as it is typed."""


def parse_cell(line: str, expand: Expand) -> CellOptions:
    """Read the line of `%%distributed`: bare targets and options, in any order.

    Parameters
    ----------
    line : str
        What follows the name of the magic.
    expand : callable
        Gives a word with each `{expr}` replaced.

    Raises
    ------
    UsageError
        For what cannot be meant; the message says what can.
    """
    found, bare, _ = _read_cell(line, expand, stop_at_code=False)
    if bare:
        if "targets" in found:
            raise UsageError(
                f"targets are given twice: {bare!r} and --on {found['targets']!r}; write one of them"
            )
        found["targets"] = bare
    return _cell_options(found)


def parse_line(line: str, expand: Expand) -> tuple[CellOptions, str]:
    """Read the line of `%distributed`: options, and then code that is not touched.

    Returns
    -------
    options : CellOptions
    code : str

    Raises
    ------
    UsageError
        For what cannot be meant, and when there is no code.
    """
    found, _, code = _read_cell(line, expand, stop_at_code=True)
    if not code.strip():
        raise UsageError("%distributed has no code to run; write: %distributed --on 0 print('hello')")
    return _cell_options(found), code


def _read_cell(line: str, expand: Expand, *, stop_at_code: bool) -> tuple[dict[str, object], str, str]:
    words = Words(line)
    found: dict[str, object] = {}
    bare = ""
    while (word := words.peek()) is not None:
        option, equals, value = word.partition("=")
        if not is_option(word):
            if stop_at_code:
                return found, "", words.rest()
            if bare:
                raise UsageError(
                    f"{word!r} is one word too many: targets are one word or a list with commas (0,2:4), "
                    f"options begin with --"
                )
            bare = _plain(expand(words.take_list()))
            continue
        words.take()
        if option in _CELL_FLAGS:
            if equals:
                raise UsageError(f"{option} takes no value")
            _once(found, _CELL_FLAGS[option], True, option)
        elif option in _CELL_VALUES:
            text = value if equals else value_of(option, words)
            _once(found, _CELL_VALUES[option], _plain(expand(text)), option)
        else:
            raise UsageError(f"%%distributed has no option {option}{did_you_mean(option, CELL_OPTIONS)}")
    return found, bare, ""


def _cell_options(found: dict[str, object]) -> CellOptions:
    if "timeout" in found:
        found["timeout"] = seconds_of("--timeout", str(found["timeout"]))
    if "group" in found and found["group"] not in GROUPS:
        raise UsageError(
            f"--group {found['group']} is none of {', '.join(GROUPS)}"
            f"{did_you_mean(str(found['group']), GROUPS)}"
        )
    if "progress" in found and found["progress"] not in PROGRESS:
        raise UsageError(f"--progress {found['progress']} is none of {', '.join(PROGRESS)}")
    for option in ("after", "push", "pull", "scatter", "gather", "pure"):
        if option in found:
            found[option] = _names(f"--{option}", str(found[option]))
    if "namespace" in found:
        _check_name("--namespace", str(found["namespace"]))
    for option in ("retries", "priority"):
        if option in found:
            found[option] = _whole(f"--{option}", str(found[option]))
    if int(str(found.get("retries", 0))) < 0:
        raise UsageError(f"--retries {found['retries']}: a number of retries is 0 or more")
    if "resources" in found:
        found["resources"] = _resources(str(found["resources"]))
    if found.get("live") and found.get("startup"):
        raise UsageError(
            "--live runs beside what runs now and --startup on engines to come; write one of them"
        )
    name = found.get("name")
    if name is not None and (not str(name).isidentifier() or keyword.iskeyword(str(name))):
        raise UsageError(f"--as {name}: that is no name that Python could bind; use letters, digits and _")
    _check_graph(found)
    return replace(CellOptions(), **found)  # type: ignore[arg-type]  # each value was checked above


def _check_graph(found: dict[str, object]) -> None:
    if found.get("graph"):
        for field_name, (option, why) in _NOT_WITH_GRAPH.items():
            if field_name in found:
                raise UsageError(f"{option} is not for --graph: {why}")
        return
    if "pure" in found:
        raise UsageError("--pure is about --graph; write --graph too")
    if "after" in found:
        for option in ("live", "startup"):
            if found.get(option):
                raise UsageError(f"--after waits for others and --{option} does not; write one of them")


_SENT_ANYWAY = "what the cell reads of the notebook is sent by itself"
_NOT_WITH_GRAPH = {
    "push": ("--push", _SENT_ANYWAY),
    "scatter": ("--scatter", _SENT_ANYWAY),
    "ship": ("--ship", _SENT_ANYWAY),
    "gather": ("--gather", "the names that the cell assigns become Futures; --pull brings values"),
    "namespace": ("--namespace", "a graph reads and changes no namespace of an engine"),
    "live": ("--live", "its statements are calls, which take their turn"),
    "startup": ("--startup", "its statements are calls, and not for each engine"),
    "local": ("--local", "run the cell once more without the magic"),
    "name": ("--as", "the names that the cell assigns become Futures"),
    "after": ("--after", "a Future that the cell reads is waited for"),
    "fail_fast": ("--fail-fast", "what does not depend on a failed statement still runs"),
}
"""Options that --graph does not take, and why."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" when a known word is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def is_option(word: str) -> bool:
    # "-1" is the engine with the highest number, not an option.
    return word.startswith("--") or (word.startswith("-") and word[1:2].isalpha())


def value_of(option: str, words: Words) -> str:
    word = words.peek()
    if word is None or is_option(word):
        raise UsageError(f"{option} needs a value")
    return words.take_list()


def _once(found: dict[str, object], key: str, value: object, option: str) -> None:
    if key in found:
        raise UsageError(f"{option} is given twice")
    if value == "":
        raise UsageError(f"{option} needs a value")
    found[key] = value


def _plain(text: str) -> str:
    return text.strip()


def seconds_of(what: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise UsageError(f"{what} {text}: that is no number of seconds") from None
    if not math.isfinite(seconds) or seconds <= 0:
        raise UsageError(f"{what} {text}: seconds must be more than 0")
    return seconds


def _names(option: str, text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        _check_name(option, name)
    return tuple(dict.fromkeys(names))


def _check_name(option: str, name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(
            f"{option}: {name!r} is no name that Python could bind; names are joined by commas (x,y)"
        )


def _whole(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{option} {text}: that is no whole number") from None


def _resources(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, amount = part.strip().partition("=")
        try:
            value = float(amount)
        except ValueError:
            value = math.nan
        if not name or not math.isfinite(value) or value <= 0:
            raise UsageError(f"--resources {part.strip()}: write name=amount, as in gpu=1 or gpu=1,memory=2")
        if name in found:
            raise UsageError(f"--resources: {name} is given twice")
        found[name] = value
    return found

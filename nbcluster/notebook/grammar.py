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

Expand = Callable[[str], str]
"""Replaces each `{expr}` of a word by the value that the notebook gives it."""


@dataclass(frozen=True)
class CellOptions:
    """What the line of a distributed cell asks for. `targets` is in the grammar of core.targets."""

    targets: str = ""
    cluster: str | None = None
    name: str | None = None
    """Of `--as`: the name that the Future gets in the notebook."""
    background: bool = False
    wait: bool = False
    local: bool = False
    group: str = "order"
    timeout: float | None = None
    startup: bool = False
    fail_fast: bool = False

    @property
    def blocks(self) -> bool:
        """Whether the notebook waits for the cell."""
        return self.wait or not (self.background or self.name is not None)


@dataclass(frozen=True)
class Start:
    """Start or join this notebook's cluster, with at least `n` engines; None for one per CPU."""

    n: int | None = None
    name: str | None = None
    launcher: str = ""
    kernel: str = ""
    tags: tuple[str, ...] = ()
    options: dict[str, float | None] = field(default_factory=dict)
    """`timeout` and `idle_timeout` in seconds; an idle_timeout of None is never."""


@dataclass(frozen=True)
class Connect:
    """Join a cluster that runs."""

    name: str | None = None


@dataclass(frozen=True)
class Use:
    """Make a cluster the one that cells run on."""

    name: str


@dataclass(frozen=True)
class List:
    """Show every cluster that runs."""


@dataclass(frozen=True)
class Status:
    """Show the current cluster."""


@dataclass(frozen=True)
class Add:
    """Start more engines."""

    n: int
    kernel: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """Have exactly n engines."""

    n: int


@dataclass(frozen=True)
class Restart:
    """Restart engines."""

    targets: str = ""


@dataclass(frozen=True)
class Interrupt:
    """Interrupt what engines run."""

    targets: str = ""


@dataclass(frozen=True)
class Cancel:
    """Cancel the work of this notebook, or of the one task that has a name."""

    name: str | None = None


@dataclass(frozen=True)
class Set:
    """Change options of the cluster; an idle_timeout of None is never."""

    idle_timeout: float | None


@dataclass(frozen=True)
class Stop:
    """End the cluster and its engines."""

    force: bool = False


ClusterOrder = Start | Connect | Use | List | Status | Add | Scale | Restart | Interrupt | Cancel | Set | Stop

VERBS: dict[str, str] = {
    "start": "start [-n N] [--name NAME] [--launcher L] [--kernel K] [--tags T] [-o key=value]",
    "connect": "connect [NAME]",
    "use": "use NAME",
    "list": "list",
    "status": "status",
    "add": "add N [--kernel K] [--tags T]",
    "scale": "scale N",
    "restart": "restart [ENGINES]",
    "interrupt": "interrupt [ENGINES]",
    "cancel": "cancel [NAME]",
    "set": "set idle_timeout=SECONDS",
    "stop": "stop [--force]",
}
"""The words that %cluster understands, with their use."""

_CELL_FLAGS = {
    "--async": "background",
    "--wait": "wait",
    "--local": "local",
    "--startup": "startup",
    "--fail-fast": "fail_fast",
}
_CELL_VALUES = {
    "--cluster": "cluster",
    "--on": "targets",
    "-t": "targets",
    "--targets": "targets",
    "--as": "name",
    "--group": "group",
    "--timeout": "timeout",
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
        if not _is_option(word):
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
            text = value if equals else _value_of(option, words)
            _once(found, _CELL_VALUES[option], _plain(expand(text)), option)
        else:
            raise UsageError(f"%%distributed has no option {option}{did_you_mean(option, CELL_OPTIONS)}")
    return found, bare, ""


def _cell_options(found: dict[str, object]) -> CellOptions:
    if "timeout" in found:
        found["timeout"] = _seconds("--timeout", str(found["timeout"]))
    if "group" in found and found["group"] not in GROUPS:
        raise UsageError(
            f"--group {found['group']} is none of {', '.join(GROUPS)}"
            f"{did_you_mean(str(found['group']), GROUPS)}"
        )
    name = found.get("name")
    if name is not None and (not str(name).isidentifier() or keyword.iskeyword(str(name))):
        raise UsageError(f"--as {name}: that is no name that Python could bind; use letters, digits and _")
    return replace(CellOptions(), **found)  # type: ignore[arg-type]  # each value was checked above


def parse_cluster(line: str, expand: Expand) -> ClusterOrder:
    """Read the line of `%cluster`.

    Raises
    ------
    UsageError
        For what cannot be meant; the message says what can.
    """
    words = Words(line)
    verb = words.take()
    if verb is None:
        return Status()
    match verb:
        case "start":
            options = _options(
                verb, words, expand, values=("-n", "--name", "--launcher", "--kernel", "--tags")
            )
            _no_more(verb, options.bare)
            return Start(
                n=None if "-n" not in options.values else _count("-n", options.values["-n"]),
                name=options.values.get("--name"),
                launcher=options.values.get("--launcher", ""),
                kernel=options.values.get("--kernel", ""),
                tags=_tags(options.values.get("--tags", "")),
                options=dict(_start_option(text) for text in options.settings),
            )
        case "connect":
            bare = _options(verb, words, expand).bare
            _no_more(verb, bare[1:])
            return Connect(bare[0] if bare else None)
        case "use":
            return Use(_one(verb, _options(verb, words, expand).bare))
        case "list":
            _no_more(verb, _options(verb, words, expand).bare)
            return List()
        case "status":
            _no_more(verb, _options(verb, words, expand).bare)
            return Status()
        case "add":
            options = _options(verb, words, expand, values=("--kernel", "--tags"))
            n = _count("add", _one(verb, options.bare))
            return Add(n, options.values.get("--kernel", ""), _tags(options.values.get("--tags", "")))
        case "scale":
            return Scale(_count("scale", _one(verb, _options(verb, words, expand).bare)))
        case "restart" | "interrupt":
            bare = _options(verb, words, expand).bare
            _no_more(verb, bare[1:])
            targets = bare[0] if bare else ""
            return Restart(targets) if verb == "restart" else Interrupt(targets)
        case "cancel":
            bare = _options(verb, words, expand).bare
            _no_more(verb, bare[1:])
            return Cancel(bare[0] if bare else None)
        case "set":
            key, equals, value = _one(verb, _options(verb, words, expand).bare).partition("=")
            if key != "idle_timeout" or not equals:
                raise UsageError(
                    f"%cluster set {key}: what can be set is idle_timeout=SECONDS (also 90s, 30m, 12h, never)"
                    f"{did_you_mean(key, ('idle_timeout',))}"
                )
            return Set(parse_duration("idle_timeout", value))
        case "stop":
            options = _options(verb, words, expand, flags=("--force",))
            _no_more(verb, options.bare)
            return Stop(force="--force" in options.flags)
        case _:
            raise UsageError(
                f"%cluster has no command {verb!r}{did_you_mean(verb, VERBS)}; it has: {', '.join(VERBS)}"
            )


@dataclass
class _Found:
    values: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    settings: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)


def _options(
    verb: str, words: Words, expand: Expand, *, values: tuple[str, ...] = (), flags: tuple[str, ...] = ()
) -> _Found:
    found = _Found()
    known = (*values, *flags, *(("-o",) if verb == "start" else ()))
    while (word := words.peek()) is not None:
        if not _is_option(word):
            found.bare.append(_plain(expand(words.take_list())))
            continue
        words.take()
        option, equals, value = word.partition("=")
        if verb == "start" and option == "-o":
            found.settings.append(expand(_value_of("-o", words)))
        elif option in flags and not equals:
            found.flags.add(option)
        elif option in values:
            if option in found.values:
                raise UsageError(f"{option} is given twice")
            found.values[option] = _plain(expand(value if equals else _value_of(option, words)))
        else:
            raise UsageError(
                f"%cluster {verb} has no option {option}{did_you_mean(option, known)}; "
                f"use: %cluster {VERBS[verb]}"
            )
    return found


def parse_duration(what: str, text: str) -> float | None:
    """Return seconds for "90", "90s", "30m", "12h"; None for "never"."""
    if text == "never":
        return None
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}.get(text[-1:])
    return _seconds(what, text if unit is None else text[:-1]) * (unit or 1.0)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" when a known word is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _start_option(text: str) -> tuple[str, float | None]:
    key, equals, value = text.partition("=")
    known = ("idle_timeout", "timeout")
    if not equals:
        raise UsageError(f"-o {text}: write key=value, as in -o idle_timeout=1h")
    if key not in known:
        raise UsageError(f"-o {key}: the options are {', '.join(known)}{did_you_mean(key, known)}")
    seconds = parse_duration(key, value)
    if key == "timeout" and seconds is None:
        raise UsageError("-o timeout=never: the wait for engines needs an end; give seconds")
    return key, seconds


def _is_option(word: str) -> bool:
    # "-1" is the engine with the highest number, not an option.
    return word.startswith("--") or (word.startswith("-") and word[1:2].isalpha())


def _value_of(option: str, words: Words) -> str:
    word = words.peek()
    if word is None or _is_option(word):
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


def _one(verb: str, bare: list[str]) -> str:
    if not bare:
        raise UsageError(f"something is missing; use: %cluster {VERBS[verb]}")
    _no_more(verb, bare[1:])
    return bare[0]


def _no_more(verb: str, bare: list[str]) -> None:
    if bare:
        raise UsageError(f"{bare[0]!r} is one word too many; use: %cluster {VERBS[verb]}")


def _count(what: str, text: str) -> int:
    try:
        n = int(text)
    except ValueError:
        raise UsageError(f"{what} {text}: a number of engines is a whole number") from None
    if n < 0:
        raise UsageError(f"{what} {text}: a number of engines is 0 or more")
    return n


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in text.split(",") if tag.strip())


def _seconds(what: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise UsageError(f"{what} {text}: that is no number of seconds") from None
    if not math.isfinite(seconds) or seconds <= 0:
        raise UsageError(f"{what} {text}: seconds must be more than 0")
    return seconds

"""Reads the line of %cluster into values. Knows no cluster, no IPython."""

from __future__ import annotations

from dataclasses import dataclass, field

from nbcluster.errors import UsageError
from nbcluster.notebook.grammar import Expand, did_you_mean, is_option, seconds_of, value_of
from nbcluster.notebook.words import Words
from nbcluster.payload.sizes import parse_memory_limit


@dataclass(frozen=True)
class Start:
    """Start or join this notebook's cluster, with at least `n` engines; None for one per CPU."""

    n: int | None = None
    name: str | None = None
    launcher: str = ""
    kernel: str = ""
    tags: tuple[str, ...] = ()
    options: dict[str, float | None] = field(default_factory=dict)
    """`timeout` and `idle_timeout` in seconds, an idle_timeout of None is never; `memory_limit` in bytes, 0 is none."""


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
class Panel:
    """Show the launcher; where there are no widgets, the current cluster."""


@dataclass(frozen=True)
class Status:
    """Show the current cluster."""


@dataclass(frozen=True)
class Add:
    """Start more engines."""

    n: int
    kernel: str = ""
    tags: tuple[str, ...] = ()
    launcher: str = ""


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


@dataclass(frozen=True)
class Ui:
    """Show the work of this notebook, and the engines."""


ClusterOrder = (
    Panel
    | Start
    | Connect
    | Use
    | List
    | Status
    | Add
    | Scale
    | Restart
    | Interrupt
    | Cancel
    | Set
    | Stop
    | Ui
)

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
    "ui": "ui",
}
"""The words that %cluster understands, with their use."""


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
        return Panel()
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
        case "ui":
            _no_more(verb, _options(verb, words, expand).bare)
            return Ui()
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
        if not is_option(word):
            found.bare.append(str.strip(expand(words.take_list())))
            continue
        words.take()
        option, equals, value = word.partition("=")
        if verb == "start" and option == "-o":
            found.settings.append(expand(value_of("-o", words)))
        elif option in flags and not equals:
            found.flags.add(option)
        elif option in values:
            if option in found.values:
                raise UsageError(f"{option} is given twice")
            found.values[option] = str.strip(expand(value if equals else value_of(option, words)))
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
    return seconds_of(what, text if unit is None else text[:-1]) * (unit or 1.0)


def _start_option(text: str) -> tuple[str, float | None]:
    key, equals, value = text.partition("=")
    known = ("idle_timeout", "timeout", "memory_limit")
    if not equals:
        raise UsageError(f"-o {text}: write key=value, as in -o idle_timeout=1h")
    if key not in known:
        raise UsageError(f"-o {key}: the options are {', '.join(known)}{did_you_mean(key, known)}")
    if key == "memory_limit":
        return key, parse_memory_limit(value)
    seconds = parse_duration(key, value)
    if key == "timeout" and seconds is None:
        raise UsageError("-o timeout=never: the wait for engines needs an end; give seconds")
    return key, seconds


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

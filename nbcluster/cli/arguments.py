"""The words of the command line: verbs, options, and which function does what. Imports nothing that is slow."""

from __future__ import annotations

import argparse

from nbcluster.version import __version__

DEFAULT_NAME = "default"
"""The name of a cluster that was started here without one."""

TASK_STATES = ("waiting", "ready", "running", "stopping")
"""The states of tasks that are not over."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="nbcluster",
        description="Clusters for notebooks: every engine a real Jupyter kernel.",
        epilog="`nbcluster VERB --help` tells the options of a verb.",
    )
    parser.add_argument("--version", action="version", version=f"nbcluster {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _add_lifecycle(verbs)
    _add_views(verbs)
    _add_run(verbs)
    _add_lab(verbs)
    _add_upkeep(verbs)
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, does: str, text: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(does=does)
    return parser


def _add_lifecycle(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    start = _verb(verbs, "start", "lifecycle:start", "start a cluster that goes on until it is stopped")
    start.add_argument(
        "-n", type=count, metavar="N", help="engines to start; default: the CPUs that may be used"
    )
    start.add_argument("--name", default=DEFAULT_NAME, help=f"name of the cluster; default: {DEFAULT_NAME}")
    start.add_argument("--launcher", default="local", help="how engines are started; default: local")
    start.add_argument("--kernel", default="", metavar="K", help="kernelspec of the engines; default: Python")
    start.add_argument("--tags", type=tags, default=(), metavar="A,B", help="tags of the engines")
    start.add_argument(
        "--idle-timeout",
        type=duration,
        default=-1.0,
        metavar="TIME",
        help="end it after so long without client and work (90s, 30m, 12h); default: never",
    )
    start.add_argument(
        "--memory-limit",
        metavar="SIZE",
        help="memory that each engine may use (2GB, 512MiB, none); default: its share of the host's",
    )
    start.add_argument("--foreground", action="store_true", help="stay, and stop the cluster at Ctrl-C")
    stop = _verb(verbs, "stop", "lifecycle:stop", "end a cluster and everything that it started")
    which = stop.add_mutually_exclusive_group()
    _name(which)
    which.add_argument("--all", action="store_true", help="every cluster of this user on this host")
    stop.add_argument("--force", action="store_true", help="also when other clients are connected")
    scale = _verb(verbs, "scale", "lifecycle:scale", "start or stop engines until there are N")
    scale.add_argument("n", type=count, metavar="N")
    _name(scale)


def _add_views(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _json(_verb(verbs, "list", "views:list_all", "list the clusters that run"))
    status = _verb(verbs, "status", "views:status", "show one cluster: its engines, clients and work")
    engines = _verb(verbs, "engines", "views:engines", "show the engines with their memory and CPU")
    for parser in (status, engines):
        _name(parser)
        _json(parser)
    tasks = _verb(verbs, "tasks", "tasks:tasks", "show the tasks that wait or run, whoever sent them")
    _name(tasks)
    tasks.add_argument(
        "--state", default="", choices=TASK_STATES, help="only those in this state; default: all"
    )
    tasks.add_argument("--limit", type=count, default=0, metavar="N", help="at most so many; default: all")
    _json(tasks)
    logs = _verb(verbs, "logs", "views:logs", "print the end of a log: an engine's, or the controller's own")
    logs.add_argument("engine", type=count, nargs="?", metavar="ENGINE", help="number of the engine")
    logs.add_argument("--name", help="name of the cluster, if several run")
    logs.add_argument("--lines", type=count, default=200, metavar="N", help="how many lines; default: 200")
    console = _verb(verbs, "console", "console:console", "open a terminal on an engine's namespace")
    console.add_argument("engine", type=count, metavar="ENGINE", help="number of the engine")
    console.add_argument("--name", help="name of the cluster, if several run")


def _add_run(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = _verb(verbs, "run", "run:run", "execute a notebook, and print its output as it comes")
    run.add_argument("notebook", metavar="NOTEBOOK", help="the .ipynb file")
    run.add_argument(
        "-n",
        type=count,
        metavar="N",
        help="start a cluster of N engines first, which `%%cluster start` finds",
    )
    run.add_argument("--output", metavar="OUT", help="write the executed notebook there")
    run.add_argument("--name", help="name of the notebook's cluster; default: one of its own")
    run.add_argument("--timeout", type=seconds, metavar="S", help="seconds that each cell may take")
    run.add_argument(
        "--allow-errors", action="store_true", help="go on after a cell that fails, and exit with 0"
    )


def _add_lab(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    lab = _verb(verbs, "lab", "lab:lab", "open JupyterLab with a cluster ready, which ends with it")
    lab.add_argument(
        "-n", type=count, metavar="N", help="engines to have; default: the CPUs that may be used"
    )
    lab.add_argument("--name", default=DEFAULT_NAME, help=f"name of the cluster; default: {DEFAULT_NAME}")
    lab.add_argument("--kernel", default="", metavar="K", help="kernelspec of the engines; default: Python")
    lab.add_argument(
        "arguments", nargs="*", metavar="-- ...", help="what follows `--` is given to `jupyter lab`"
    )


def _add_upkeep(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _json(_verb(verbs, "doctor", "doctor:doctor", "check the environment, and say how to mend it"))
    _verb(verbs, "clean", "clean:clean", "remove what clusters that were killed left behind")


def _name(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="the cluster; may be left out if only one runs"
    )


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def count(text: str) -> int:
    """Read a number that is not negative."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative; 0 is the least")
    return number


def tags(text: str) -> tuple[str, ...]:
    """Read words between commas."""
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)


def seconds(text: str) -> float:
    """Read a time above zero."""
    found = duration(text)
    if found <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time above zero")
    return found


def duration(text: str) -> float:
    """Read a time as people write it, in seconds; "never" is -1."""
    if text == "never":
        return -1.0
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1.0)
    try:
        found = float(number) * unit
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 90, 90s, 30m, 12h or never")
    return found

"""The command `nbcluster`: finds the verb, runs it, and says errors in one line. Knows what no verb does."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nbcluster.cli.arguments import build_parser
from nbcluster.errors import NBClusterError, UsageError

if TYPE_CHECKING:
    import argparse

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes: it could not be done, it was asked for wrongly, Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after the program's name; those of this process by default.

    Returns
    -------
    int
        The exit code: 0, 1 when it could not be done, 2 for wrong usage, 130 after Ctrl-C.
    """
    arguments = build_parser().parse_args(argv)
    try:
        return run(arguments)
    except UsageError as error:
        return _say(arguments, error, USAGE)
    except (NBClusterError, TimeoutError) as error:
        return _say(arguments, error, FAILED)
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more can be said, also not by the interpreter at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _say(arguments, error, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED


def run(arguments: argparse.Namespace) -> int:
    """Import the verb's module, which may be slow, and run it."""
    module, _, function = arguments.does.partition(":")
    code: int = getattr(importlib.import_module(f"nbcluster.cli.{module}"), function)(arguments)
    return code


def _say(arguments: argparse.Namespace, error: BaseException, code: int) -> int:
    print(f"nbcluster {arguments.verb}: {str(error) or type(error).__name__}", file=sys.stderr)
    return code

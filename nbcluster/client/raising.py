"""Errors of Python's own classes on their way out of the API: a notebook adds how they are drawn. Knows no notebook."""

from __future__ import annotations

from collections.abc import Callable

from nbcluster.errors import NBClusterError

before_raise: list[Callable[[BaseException], object]] = []
"""Called with a KeyError, TimeoutError and the like that the API is about to raise to its user."""


def prepared(error: BaseException) -> BaseException:
    """Return an error, after those that want to see it before the user does. Errors of our tree need nothing."""
    if not isinstance(error, NBClusterError):
        for prepare in before_raise:
            prepare(error)
    return error

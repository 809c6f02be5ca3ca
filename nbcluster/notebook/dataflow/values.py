"""Abstract values: which top-level names may share an object with a value. Knows no syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbcluster.notebook.dataflow.families import ATOM, Family

if TYPE_CHECKING:
    from nbcluster.notebook.dataflow.scopes import Scope


class Share:
    """Objects that may be reached from one another: a node of a union-find, with the top-level names at its root."""

    def __init__(self, roots: Iterable[str] = ()) -> None:
        self._parent: Share | None = None
        self.names: set[str] = set(roots)

    def find(self) -> Share:
        """Return the representative."""
        node = self
        while node._parent is not None:
            node = node._parent
        return node

    def join(self, other: Share) -> None:
        """Let both be one."""
        ours, theirs = self.find(), other.find()
        if ours is not theirs:
            theirs._parent = ours
            ours.names |= theirs.names

    @property
    def roots(self) -> set[str]:
        """The names."""
        return self.find().names


@dataclass
class Callable:
    """A function whose body is known."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope | None
    """That of the functions around it; None at the top level."""


@dataclass
class Value:
    """What is known of a value."""

    share: Share = field(default_factory=Share)
    family: Family | None = None
    function: Callable | None = None
    path: str = ""
    """Of what was imported: "numpy.random"."""
    lazy: str = ""
    """Why it is one of those that are used up by reading, such as a generator."""

    @property
    def is_atom(self) -> bool:
        """Whether it cannot be changed, so that sharing it means nothing."""
        return self.family == ATOM


def fresh(family: Family | None = None) -> Value:
    """Return a value that shares nothing."""
    return Value(family=family)


def holding(values: Iterable[Value], family: Family | None = None) -> Value:
    """Return a value that holds others: whoever changes one may change the other."""
    made = Value(family=family)
    for value in values:
        if not value.is_atom:
            made.share.join(value.share)
    return made


def either(values: Iterable[Value]) -> Value:
    """Return a value that is one of these."""
    several = list(values)
    if len(several) == 1:
        return several[0]
    families = {value.family for value in several}
    made = holding(several, families.pop() if len(families) == 1 else None)
    made.lazy = next((value.lazy for value in several if value.lazy), "")
    return made

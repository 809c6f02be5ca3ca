"""What one statement does to names and modules, as a plain record. Knows no syntax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nbcluster.notebook.dataflow.families import Family


class CannotAnalyse(Exception):  # it never reaches a user: a reason to run a cell in order
    """A statement does what cannot be seen in its text."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


@dataclass(frozen=True)
class Link:
    """Names that may share an object from a statement on: `new` as it binds them, `old` as they were before it."""

    new: frozenset[str]
    old: frozenset[str]


@dataclass
class Effects:
    """What a statement does.

    Attributes
    ----------
    reads : dict of str to int
        Top-level names that it may read, with the line.
    binds, deletes : set of str
        Names that it may bind or delete.
    keeps : set of str
        Of those that it may bind: names that may also stay as they were.
    writes : dict of str to str
        Names whose objects it may change, with the reason.
    links : list of Link
        Names that may share an object from then on.
    states : dict of str to str
        States of modules that it touches, with the reason.
    modules : set of str
        Packages that it uses.
    touches : set of str
        Names whose identity it asks for.
    lazy : dict of str to str
        Names that it binds to what is used up by reading, such as a generator, with the reason.
    families : dict of str to Family
        What is known of the values that it binds.
    unsettled : set of str
        Names read whose type, once known, may show that it does less.
    frozen : set of str
        Names that a function reads which the statement keeps: it would see their later values.
    definitions : set of str
        Shared functions, classes and imports that it uses, also through others.
    """

    line: int = 0
    reads: dict[str, int] = field(default_factory=dict)
    binds: set[str] = field(default_factory=set)
    deletes: set[str] = field(default_factory=set)
    keeps: set[str] = field(default_factory=set)
    writes: dict[str, str] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    touches: set[str] = field(default_factory=set)
    lazy: dict[str, str] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    definitions: set[str] = field(default_factory=set)
    prints: bool = False
    awaits: bool = False


@dataclass(frozen=True)
class Surroundings:
    """What is known outside of the cell.

    Attributes
    ----------
    modules : mapping of str to str
        Names of the notebook that are modules or things imported from them, with their dotted path.
    families : mapping of str to Family
        Types of the notebook's values, as far as known.
    aliases : tuple of frozenset of str
        Names of the notebook that may share an object.
    functions : mapping of str to str
        Sources of the notebook's own functions.
    pure : frozenset of str
        Methods and functions that the user says change nothing.
    names : frozenset of str
        All names of the notebook.
    """

    modules: Mapping[str, str] = field(default_factory=dict)
    families: Mapping[str, Family] = field(default_factory=dict)
    aliases: tuple[frozenset[str], ...] = ()
    functions: Mapping[str, str] = field(default_factory=dict)
    pure: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

"""Where code that runs on an engine stands: what errors in it are to name. Knows no engine."""

from __future__ import annotations

from msgspec import Struct


class Origin(Struct, frozen=True):
    """A piece of code as its author knows it.

    Attributes
    ----------
    kind, name : str
        What a traceback calls it: "Cell", "In[6]"; "File", "fit.py".
    line : int
        The number of its first line there: 2 below the line of a cell's magic.
    """

    kind: str
    name: str
    line: int = 1

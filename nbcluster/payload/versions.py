"""Compares the Python versions of two processes. Knows no processes."""

from __future__ import annotations


def check_python(mine: str, theirs: str, where: str = "the engine") -> str | None:
    """Return what is wrong with calling functions of this process in another one, None when nothing is.

    Parameters
    ----------
    mine, theirs : str
        As `platform.python_version()` gives them.
    where : str
        How the sentence calls the other process: "engine 2".
    """
    if mine.split(".")[:2] == theirs.split(".")[:2]:
        return None
    return (
        f"{where} runs Python {theirs} and this notebook {mine}: functions that a notebook defines can only be sent "
        f"between equal minor versions. Start engines with this notebook's Python, or put the function into a module "
        "that both can import"
    )

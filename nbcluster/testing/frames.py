"""Finds frames of this package in what is drawn of an error. Knows where the package lies; knows no kernel.

A word would not do: a clone may lie in a directory of any name, this package's too.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbcluster

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_MODULES = re.compile(r"(?<![\w/.-])nbcluster\.(?!errors\b|ns\b)[a-z_]+(?:\.\w+)*")
"""Dotted names of modules. Classes of `nbcluster.errors` and namespaces `nbcluster.ns` are shown to users."""


def frames_of_ours(text: str) -> list[str]:
    """Return what names a file or module of the package in a drawn traceback.

    Parameters
    ----------
    text
        What a user is shown of an error, coloured or not.

    Examples
    --------
    >>> frames_of_ours("Cell In[2], line 1, in half")
    []
    """
    plain = _COLOURS.sub("", text)
    package = Path(nbcluster.__file__).parent
    places = {str(package), str(package.resolve())}
    if package.is_relative_to(Path.home()):  # IPython writes "~" for the home directory
        places.add(str(Path("~") / package.relative_to(Path.home())))
    files = [found for place in sorted(places) for found in re.findall(re.escape(place) + r"/[\w/.]*", plain)]
    return [*files, *_MODULES.findall(plain)]

"""Takes the source lines of notebook functions along, so that tracebacks elsewhere can show them. Knows no pickles."""

from __future__ import annotations

import linecache
import os
from collections import OrderedDict
from threading import Lock

_LONGEST = 65_536
_MOST = 256

_brought: OrderedDict[str, None] = OrderedDict()
_lock = Lock()


def source_of(file: str) -> str:
    """Return the text of a file that exists in memory alone, as cells do; "" for one that is on disk, or is long."""
    if os.path.exists(file):
        return ""
    text = "".join(linecache.getlines(file))
    return text if len(text) <= _LONGEST else ""


def show(file: str, text: str) -> None:
    """Let tracebacks show the lines of a file that is not here. The latest 256 are kept."""
    with _lock:
        if file in linecache.cache and file not in _brought:
            return
        _brought[file] = None
        _brought.move_to_end(file)
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        while len(_brought) > _MOST:
            gone, _ = _brought.popitem(last=False)
            linecache.cache.pop(gone, None)

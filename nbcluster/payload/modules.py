"""Follows modules that the user edits: which version of its file a process has loaded, and when to load it again.

Knows no pickles. Only the user's own .py files are followed, not what is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import site
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

_MOST_USED = 200


class Stamp(NamedTuple):
    """The version of a module that a process has loaded: name, file, time of change (ns), bytes."""

    module: str
    file: str
    mtime_ns: int
    size: int


class Modules:
    """The stamps of the modules of this process, as each was first seen after it was loaded."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Any, Stamp | None]] = {}
        self._used: dict[str, tuple[Any, tuple[str, ...]]] = {}
        self._count = 0

    def look(self) -> None:
        """Stamp what was imported since the last look; cheap when nothing was. Call it after each cell or call.

        The sooner a module is seen after its import, the surer it is which version of its file is loaded.
        """
        if len(sys.modules) == self._count:
            return
        for name, module in list(sys.modules.items()):
            if name not in self._seen and isinstance(module, ModuleType):
                self.stamp(module)
        self._count = len(sys.modules)

    def stamp(self, module: ModuleType) -> Stamp | None:
        """Return the stamp of a module, None for one that is not followed."""
        name = module.__name__
        spec = getattr(module, "__spec__", None)
        known = self._seen.get(name)
        if known is not None and known[0] is spec:  # a reload makes a new spec
            return known[1]
        stamp = _stamp(module, spec)
        self._seen[name] = (spec, stamp)
        return stamp

    def stamps(self, module: ModuleType) -> tuple[Stamp, ...]:
        """Return the stamps of a module and of the user's modules that it uses, those it uses first."""
        own = self.stamp(module)
        if own is None:
            return ()
        found = []
        for name in self._users_modules_in(module):
            other = sys.modules.get(name)
            stamp = self.stamp(other) if isinstance(other, ModuleType) else None
            if stamp is not None:
                found.append(stamp)
        return (*found, own)

    def follow(self, stamps: tuple[tuple[str, str, int, int], ...]) -> ModuleType:
        """Return the last module of `stamps`, loaded again where the sender has a newer version than this process.

        A sender with an older version changes nothing, and so does one whose file is not the one here: what is on
        disk here must differ from what is loaded here.
        """
        for entry in stamps:
            wanted = Stamp(*entry)
            module = sys.modules.get(wanted.module)
            mine = self.stamp(module) if module is not None else None
            if module is None or mine is None or mine == wanted or mine.mtime_ns >= wanted.mtime_ns:
                continue
            if _on_disk(mine) == mine:
                continue
            importlib.invalidate_caches()
            importlib.reload(module)
            self.stamp(module)
        name = stamps[-1][0]
        if name not in sys.modules:
            importlib.invalidate_caches()
        module = importlib.import_module(name)
        self.look()  # what it imported in turn
        return module

    def _users_modules_in(self, module: ModuleType) -> tuple[str, ...]:
        spec = getattr(module, "__spec__", None)
        known = self._used.get(module.__name__)
        if known is not None and known[0] is spec:
            return known[1]
        found: dict[str, None] = {}
        self._walk(module, found)
        found.pop(module.__name__, None)
        names = tuple(reversed(found))
        self._used[module.__name__] = (spec, names)
        return names

    def _walk(self, module: ModuleType, found: dict[str, None]) -> None:
        found[module.__name__] = None
        for value in list(vars(module).values()):
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if not isinstance(name, str) or name in found or len(found) >= _MOST_USED:
                continue
            other = sys.modules.get(name)
            if isinstance(other, ModuleType) and self.stamp(other) is not None:
                self._walk(other, found)


def _stamp(module: ModuleType, spec: Any) -> Stamp | None:
    file = getattr(module, "__file__", None)
    if spec is None or not isinstance(file, str) or not file.endswith(".py") or not _is_users(file):
        return None
    if module.__name__.partition(".")[0] in ("__main__", "nbcluster"):
        return None
    now = _on_disk(Stamp(module.__name__, file, 0, 0))
    if now is None:
        return None
    return _compiled_from(now) or now


def _on_disk(stamp: Stamp) -> Stamp | None:
    try:
        stat = os.stat(stamp.file)
    except OSError:
        return None
    return stamp._replace(mtime_ns=stat.st_mtime_ns, size=stat.st_size)


def _compiled_from(now: Stamp) -> Stamp | None:
    """Return the version that the compiled file was made from, when that is not what is on disk now.

    Then the source was edited after it was imported, and before we first saw the module.
    """
    if sys.dont_write_bytecode:
        return None
    try:
        with open(importlib.util.cache_from_source(now.file), "rb") as compiled:
            head = compiled.read(16)
    except (OSError, ValueError):
        return None
    flags, seconds, size = (int.from_bytes(head[at : at + 4], "little") for at in (4, 8, 12))
    if (
        len(head) < 16
        or flags
        or (seconds, size) == (now.mtime_ns // 10**9 & 0xFFFFFFFF, now.size & 0xFFFFFFFF)
    ):
        return None
    return now._replace(mtime_ns=seconds * 10**9, size=size)


@lru_cache(maxsize=4096)
def _is_users(file: str) -> bool:
    if file.startswith(_installed()):
        return False
    return not str(Path(file).resolve()).startswith(_installed())


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    places: set[str | None] = {
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    places |= {*site.getsitepackages(), site.getusersitepackages()}
    places |= {str(Path(place).resolve()) for place in places if place}
    return tuple(f"{place}{os.sep}" for place in places if place)


MODULES = Modules()
"""Those of this process."""

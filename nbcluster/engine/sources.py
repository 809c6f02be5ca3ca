"""Compiles cells so that errors name them as their author knows them. Knows no kernel and no messages.

A cell of a notebook has the notebook's number, and lines that the engine never sees: that of the magic above it.
Blank lines stand for those, in the code and in what linecache holds, so tracebacks, syntax errors, pdb and
`inspect.getsource` all agree.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

from ipykernel.compiler import XCachingCompiler, get_tmp_directory
from msgspec.structs import replace

from nbcluster.protocol.origin import Origin


class CellCompiler(XCachingCompiler):  # type: ignore[misc]  # ipykernel's classes are not typed
    """ipykernel's compiler, told where the code of the cell that runs stands."""

    def __init__(self) -> None:
        super().__init__()
        self._origins: dict[str, Origin] = {}
        self._now: Origin | None = None

    @contextmanager
    def cell(self, origin: Origin | None) -> Iterator[None]:
        """Compile what comes in this block as code of that origin; None: as the kernel's own cell."""
        self._now = origin
        try:
            yield
        finally:
            self._now = None

    def get_code_name(self, raw_code: str, code: str, number: int) -> str:
        """Return the file name of a cell: it holds the cell's name, since pdb and warnings show it."""
        if self._now is None:
            name: str = super().get_code_name(raw_code, code, number)
            return name
        digest = blake2b(f"{self._now}{code}".encode(errors="replace"), digest_size=6).hexdigest()
        readable = re.sub(r"[^\w\[\].-]", "", self._now.name)
        return os.path.join(get_tmp_directory(), f"{readable}-{digest}.py")

    def format_code_name(self, name: str) -> tuple[str, str] | None:
        """Return what a traceback calls a cell."""
        origin = self._origins.get(name)
        if origin is not None:
            return origin.kind, origin.name
        known: tuple[str, str] | None = super().format_code_name(name)
        return known

    def cache(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        """Keep the lines of a cell for whoever shows them; return its file name."""
        origin = self._now
        if origin is None:
            name: str = super().cache(transformed_code, number, raw_code)
            return name
        raw_code = transformed_code if raw_code is None else raw_code
        origin = replace(origin, line=origin.line + _blank_lines_above(raw_code))
        name = super().cache(_lowered(transformed_code, origin), number, raw_code)
        self._origins[name] = origin
        # Cells that this one runs in turn (%%capture) do not begin where it does.
        self._now = replace(origin, line=1)
        return name

    def ast_parse(self, source: str, filename: str = "<unknown>", symbol: str = "exec") -> ast.AST:
        """Parse a cell, its lines numbered as its author sees them."""
        origin = self._origins.get(filename)
        tree: ast.AST = super().ast_parse(
            source if origin is None else _lowered(source, origin), filename, symbol
        )
        return tree


def _blank_lines_above(raw_code: str) -> int:
    # IPython takes them off.
    lines = raw_code.splitlines()
    return next((at for at, line in enumerate(lines) if line.strip()), 0)


def _lowered(code: str, origin: Origin) -> str:
    return "\n" * (origin.line - 1) + code

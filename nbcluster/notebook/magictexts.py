"""Finds the code that stands as text in the magics of a cell: `%time f(y)`, `!ls {folder}`. Pure: knows text alone.

IPython turns magics and shell commands into calls that have the rest of the line, or of the cell, as a string.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

_SHELL = frozenset({"system", "getoutput"})

_OPTIONS_WITH_VALUES = {"time": "", "timeit": "nrp", "prun": "lsTD"}
"""Magics whose line is code, and those of their options that take the next word as a value."""

_BODIES = frozenset({"time", "timeit", "prun", "capture"})
"""Cell magics whose body is code of the cell."""

_EXPANDED = re.compile(r"\{(?P<expression>[^{}]+)\}|(?<![\w$\\])\$(?P<name>[A-Za-z_]\w*)")


def texts_of(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Return the pieces of code in magics, each with the call that IPython has made of its magic.

    Parameters
    ----------
    tree : ast.AST
        A cell after IPython's transform.

    Examples
    --------
    >>> tree = ast.parse("get_ipython().run_line_magic('time', 'f(y)')")
    >>> [text for _, text in texts_of(tree)]
    ['f(y)']
    """
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr=method),
                args=[*arguments],
            ):
                for text in _of_call(method, [_text(each) for each in arguments]):
                    yield node, text


def _of_call(method: str, words: list[str]) -> Iterator[str]:
    match method, words:
        case "run_line_magic", [name, line] if name in _OPTIONS_WITH_VALUES:
            yield _without_options(name, line)
        case "run_line_magic", [_, line]:
            yield from _expanded(line)
        case "run_cell_magic", [name, line, body] if name in _BODIES:
            if name in _OPTIONS_WITH_VALUES:
                yield _without_options(name, line)
            yield _as_python(body)
        case "run_cell_magic", [_, line, _]:
            yield from _expanded(line)
        case _, [line] if method in _SHELL:
            yield from _expanded(line)


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _without_options(name: str, line: str) -> str:
    line = line.strip()
    while line.startswith("-"):
        word, _, line = line.partition(" ")
        line = line.strip()
        if len(word) == 2 and word[1] in _OPTIONS_WITH_VALUES[name]:
            line = line.partition(" ")[2].strip()
    return line


def _expanded(line: str) -> Iterator[str]:
    for found in _EXPANDED.finditer(line):
        yield (found["expression"] or found["name"]).strip()


def _as_python(body: str) -> str:
    from IPython.core.inputtransformer2 import TransformerManager

    return str(TransformerManager().transform_cell(body))

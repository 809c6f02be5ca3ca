"""Finds the global names that code reads, by its instructions. Knows no values."""

from __future__ import annotations

import dis
from functools import lru_cache
from types import CodeType

# Each namespace has its own; those of a kernel belong to the kernel that runs the code.
OWN = frozenset(
    [
        "__annotations__",
        "__builtin__",
        "__builtins__",
        "__cached__",
        "__doc__",
        "__file__",
        "__loader__",
        "__name__",
        "__package__",
        "__path__",
        "__spec__",
        "In",
        "Out",
        "_",
        "__",
        "___",
        "exit",
        "get_ipython",
        "quit",
    ]
)
"""Names that are never taken from one namespace to another."""

_READS = {"LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"}


@lru_cache(maxsize=4096)
def reads(code: CodeType) -> frozenset[str]:
    """Return the global names that this very code may read, without the code that it contains.

    An attribute is no name: ``a.b`` reads ``a``. In the body of a class a name that was assigned there before is
    the class's own.
    """
    found: set[str] = set()
    assigned: set[str] = set()
    for instruction in dis.get_instructions(code):
        match instruction.opname:
            case "STORE_NAME":
                assigned.add(instruction.argval)
            case "LOAD_NAME" if instruction.argval not in assigned:
                found.add(instruction.argval)
            case name if name in _READS:
                found.add(instruction.argval)
            case _:
                continue
    return frozenset(found - OWN)


def contained(code: CodeType) -> tuple[CodeType, ...]:
    """Return the code objects directly inside a code object: inner functions, class bodies, comprehensions."""
    return tuple(const for const in code.co_consts if isinstance(const, CodeType))


@lru_cache(maxsize=4096)
def all_reads(code: CodeType) -> tuple[str, ...]:
    """Return the global names that code and all code inside it may read, sorted."""
    found = set(reads(code))
    for inner in contained(code):
        found.update(all_reads(inner))
    return tuple(sorted(found))


@lru_cache(maxsize=4096)
def writes_closure(code: CodeType) -> bool:
    """Whether code, or code inside it, assigns variables of the functions around it (``nonlocal``)."""
    free = set(code.co_freevars)
    return any(
        instruction.opname in ("STORE_DEREF", "DELETE_DEREF") and instruction.argval in free
        for instruction in dis.get_instructions(code)
    ) or any(free & set(inner.co_freevars) and writes_closure(inner) for inner in contained(code))


@lru_cache(maxsize=4096)
def all_attributes(code: CodeType) -> frozenset[str]:
    """Return every name in code and the code inside it, attributes too."""
    found = set(code.co_names)
    for inner in contained(code):
        found.update(all_attributes(inner))
    return frozenset(found)

"""What views do to variables: functions that clients submit by name and engines run as calls. Knows no messages.

Each works on the namespace of its call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nbcluster.engine.namespaces import current_namespace


def push(values: Mapping[str, Any], shipped: Mapping[str, str] | None = None) -> None:
    """Bind variables.

    Parameters
    ----------
    values : dict
        Values by name.
    shipped : dict, optional
        Digests of values that the notebook sends of its own accord, by name, for later comparison.
    """
    namespace = current_namespace()
    digests = shipped or {}
    for name, value in values.items():
        namespace.bind(name, value, digests.get(name, ""))


def ship(name: str, value: Any, digest: str) -> None:
    """Bind a variable that a cell lacks, unless something else has been bound to the name since.

    Parameters
    ----------
    name : str
    value : object
    digest : str
        Of the value's bytes, for later comparison.
    """
    namespace = current_namespace()
    if name not in namespace.names or namespace.digest_of(name):
        namespace.bind(name, value, digest)


def pull(names: Iterable[str]) -> dict[str, Any]:
    """Return variables by name.

    Raises
    ------
    KeyError
        With the name of a variable that is not there.
    """
    variables = current_namespace().names
    return {name: variables[name] for name in names}


def get(name: str) -> Any:
    """Return one variable.

    Raises
    ------
    KeyError
        When it is not there.
    """
    return current_namespace().names[name]


def delete(names: Iterable[str]) -> None:
    """Delete variables, all or, when one of them is not there, none.

    Raises
    ------
    KeyError
        With the name that is not there.
    """
    namespace = current_namespace()
    wanted = tuple(names)
    for name in wanted:
        namespace.names[name]
    for name in wanted:
        namespace.names.pop(name, None)
        namespace.shipped.pop(name, None)


def keys() -> list[str]:
    """Return the names of the variables that users made, sorted."""
    return sorted(current_namespace().users())


def clear() -> None:
    """Delete all variables that users made."""
    current_namespace().clear()

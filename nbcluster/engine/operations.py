"""What views do to variables: functions that clients submit by name and engines run as calls. Knows no messages.

Each works on the namespace of its call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nbcluster.engine.namespaces import current_namespace
from nbcluster.engine.sharing import current_sharing
from nbcluster.payload.forms import Form, form_of
from nbcluster.transport.sharedmem import SHARED_FROM


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


def offer(name: str) -> Any:
    """Return one variable; where it is a large array, its `Form` alone.

    Raises
    ------
    KeyError
        When it is not there.
    """
    value = current_namespace().names[name]
    return form_of(value, SHARED_FROM) or value


def fill(name: str, form: Form, envelope: bytes, at: int) -> bool:
    """Write an array into the shared memory in which a client joins several; False when that cannot be."""
    value: Any = current_namespace().names.get(name)
    if form_of(value, SHARED_FROM) != form:
        return False
    return current_sharing().fill(envelope, at, memoryview(value).cast("B"))


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

"""The named namespaces of an engine, each a module, beside the kernel's own. Knows no messages and no calls' order.

Which one code runs in is a matter of its context: cells, completions on the control thread and live cells each have
theirs at the same time, and nothing has to be switched back.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from nbcluster.engine import context
from nbcluster.errors import UsageError

PREFIX = "nbcluster.ns."
"""What the names of the modules begin with."""

OWN = ""
"""The kernel's own namespace."""


class Namespace:
    """One namespace: its variables, and what IPython notes beside them."""

    def __init__(self, module: ModuleType, hidden: dict[str, Any]) -> None:
        self.module = module
        self.names: dict[str, Any] = vars(module)
        self.hidden = hidden
        """What IPython has put among the variables, by name."""
        self.completer: Any = None
        self.latest: list[Any] = ["", "", ""]
        """The values that were shown last: `_`, `__` and `___`."""
        self.shipped: dict[str, tuple[Any, str]] = {}
        """Objects that the notebook shipped, by name, each with the digest of its bytes."""

    def users(self) -> dict[str, Any]:
        """Return the variables that users made. Any thread may ask."""
        hidden = self.hidden
        return {
            name: value
            for name, value in self.names.copy().items()
            if isinstance(name, str)
            and not name.startswith("_")
            and not (name in hidden and hidden[name] is value)
        }

    def bind(self, name: str, value: Any, digest: str = "") -> None:
        """Give a variable a value; `digest` says what was shipped."""
        self.hidden.pop(name, None)
        self.names[name] = value
        self.shipped.pop(name, None)
        if digest:
            self.shipped[name] = value, digest

    def digest_of(self, name: str) -> str:
        """Return the digest under which the present value was shipped, "" when it was not."""
        value, digest = self.shipped.get(name, (None, ""))
        return digest if digest and self.names.get(name, _nothing) is value else ""

    def forget_what_changed(self) -> None:
        """Let go of shipped objects that are no more the values of their names."""
        for name in list(self.shipped):
            if not self.digest_of(name):
                self.shipped.pop(name, None)

    def clear(self) -> None:
        """Delete all variables that users made."""
        for name in self.users():
            self.names.pop(name, None)
        self.shipped.clear()


_nothing = object()
_inside: ContextVar[Namespace | None] = ContextVar("nbcluster_namespace", default=None)


def inside() -> Namespace | None:
    """Return the named namespace that the calling code's cell runs in; None for the kernel's own."""
    return _inside.get()


class Namespaces:
    """All namespaces of one shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._named: dict[str, Namespace] = {}
        self._own: Namespace | None = None
        self._lock = threading.RLock()

    def __getitem__(self, name: str) -> Namespace:
        """Return a namespace; a named one is made when it is first asked for.

        Raises
        ------
        UsageError
            When the name is no identifier.
        """
        if name == OWN:
            return self._of_the_kernel()
        known = self._named.get(name)
        return known if known is not None else self._make(name)

    def _of_the_kernel(self) -> Namespace:
        own = self._own
        module, hidden = self._shell.own_namespace()
        if own is None or own.module is not module or own.hidden is not hidden:
            own = self._own = Namespace(module, hidden)
        return own

    def _make(self, name: str) -> Namespace:
        if not isinstance(name, str) or not name.isidentifier():
            raise UsageError(
                f"{name!r} cannot name a namespace: take a name as of a variable, such as 'exp1'"
            )
        import cloudpickle  # clients name operations on namespaces, and have none
        from IPython.core.completer import IPCompleter

        with self._lock:
            if name in self._named:
                return self._named[name]
            module = ModuleType(PREFIX + name, f"The namespace {name!r} of this engine.")
            self._shell.prepare_user_module(user_module=module)
            made = Namespace(module, {})
            sys.modules[module.__name__] = module
            # What is defined in it is unknown elsewhere.
            cloudpickle.register_pickle_by_value(module)
            with _entered(made):
                self._shell.init_user_ns()
            made.completer = IPCompleter(
                shell=self._shell, namespace=made.names, global_namespace=made.names, parent=self._shell
            )
            made.completer.custom_completers = self._shell.strdispatchers.get("complete_command")
            self._named[name] = made
            return made

    def known(self) -> list[Namespace]:
        """Return the namespaces that have been used."""
        own = [] if self._own is None else [self._own]
        return [*own, *self._named.values()]

    def entered(self, name: str) -> AbstractContextManager[None]:
        """Let the shell's variables be those of a namespace for what runs in a block, in its context.

        Raises
        ------
        UsageError
            When the name is no identifier.
        """
        return nullcontext() if name == OWN else _entered(self[name])

    def forget_what_changed(self) -> None:
        """Let go of shipped objects that are no more the values of their names."""
        for namespace in self.known():
            if namespace.shipped:
                namespace.forget_what_changed()


@contextmanager
def _entered(namespace: Namespace) -> Iterator[None]:
    token = _inside.set(namespace)
    try:
        yield
    finally:
        _inside.reset(token)


_installed: Namespaces | None = None


def install(namespaces: Namespaces) -> None:
    """Make these the namespaces of this process."""
    global _installed
    _installed = namespaces


def current_namespace() -> Namespace:
    """Return the namespace that the calling code works on: that of its call, else of its cell.

    Raises
    ------
    RuntimeError
        When this process is no engine.
    """
    if _installed is None:
        raise RuntimeError("this process is no engine: it has no namespaces")
    call = context.current.get()
    if call is not None:
        return _installed[call.options.namespace]
    return _inside.get() or _installed[OWN]

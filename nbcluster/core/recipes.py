"""What is kept so that values that lie on engines alone can be made again: by age, within a bound. Makes none again.

A call whose value lies on an engine alone has a *recipe*: the controller keeps its arguments, and the calls that made
its inputs stay known, each with its own recipe, or with its value where the controller has that. Such a call that
nobody else needs is *past*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbcluster.core.model import Call
from nbcluster.ids import TaskId
from nbcluster.protocol.calls import CallOptions

if TYPE_CHECKING:
    from nbcluster.core.ledger import Ledger

LIMIT = 100_000_000
"""Bytes that all recipes may take."""

HELD_MOST = 256
"""Calls whose arguments in shared memory are held for their recipes; each takes a descriptor of the controller."""

OVERHEAD = 2048
"""What a recipe counts beside its arguments: the tables here and in the controller."""

AGAIN = 3
"""A value is made again at most so often."""


class Recipes:
    """The recipes of a cluster, oldest first, and what they take.

    Attributes
    ----------
    limit : int
        Bytes that they may take in all.
    past : dict of TaskId to Call
        Calls that are kept for the recipes of others alone.
    sizes : dict of TaskId to int
        Bytes of each recipe, and of each past value that the controller keeps, in order of age.
    nbytes : int
        Bytes of all of these, with each function that they need counted once.
    """

    __slots__ = ("_functions", "limit", "nbytes", "past", "sizes")

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.past: dict[TaskId, Call] = {}
        self.sizes: dict[TaskId, int] = {}
        self.nbytes = 0
        self._functions: dict[str, list[int]] = {}

    @property
    def functions(self) -> dict[str, tuple[int, int]]:
        """How many recipes need each function, and its bytes."""
        return {digest: (uses, nbytes) for digest, (uses, nbytes) in self._functions.items()}

    def add(self, call: Call, nbytes: int, function: int) -> None:
        """Keep a recipe."""
        self._enter(call, nbytes)
        known = self._functions.get(call.order.function)
        if known is None:
            self._functions[call.order.function] = [1, function]
            self.nbytes += function
        else:
            known[0] += 1

    def add_value(self, call: Call) -> None:
        """Keep a value that the controller has in place of a recipe."""
        self._enter(call, call.nbytes)

    def _enter(self, call: Call, nbytes: int) -> None:
        self.sizes[call.id] = nbytes + OVERHEAD
        self.nbytes += nbytes + OVERHEAD

    def remove(self, call: Call) -> bool:
        """Keep a recipe, or a past value, no longer. Returns whether there was one."""
        size = self.sizes.pop(call.id, None)
        if size is None:
            return False
        self.nbytes -= size
        if not call.kept:
            known = self._functions[call.order.function]
            known[0] -= 1
            if not known[0]:
                self.nbytes -= known[1]
                del self._functions[call.order.function]
        return True

    @property
    def bound(self) -> str:
        """The bound as the end of a sentence."""
        return (
            f"recipes take at most {self.limit / 1e6:g} MB in all; a larger NBCLUSTER_RECIPE_LIMIT keeps more"
        )


def find(ledger: Ledger, name: TaskId) -> Call | None:
    """A call that is known, be it past."""
    return ledger.calls.get(name) or ledger.recipes.past.get(name)


def forbids(options: CallOptions) -> str:
    """Why a value must not be made again, from what was asked for with its call; "" when it may."""
    if options.pinned:
        return "calls that are bound to one engine never run again unasked"
    if not options.repeatable:
        return (
            f"calls in a named namespace ({options.namespace}) never run again unasked"
            if options.namespace
            else "repeatable=False forbids that its call runs again"
        )
    return ""


def keep(ledger: Ledger, call: Call, nbytes: int, function: int) -> None:
    """Keep the recipe of a call that has returned and whose value is on its engine alone, if it may run again.

    `nbytes` is -1 when its arguments are gone.
    """
    if forbids(call.order.options):
        return
    if nbytes < 0:
        call.unmade = (
            "its arguments lay in shared memory and were not kept there, where the controller holds those of at most "
            f"{HELD_MOST} calls; what cluster.put() sends once for many calls counts once"
        )
        return
    ledger.recipes.add(call, nbytes, function)
    for source in call.sources:
        if source.heirs is None:
            source.heirs = {}
        source.heirs[call.id] = call


def let_go(ledger: Ledger, call: Call) -> None:
    """Nobody needs the value of a call any more, which is out of the table: forget it, unless recipes need it."""
    recipes, outbox = ledger.recipes, ledger.outbox
    if not call.heirs:
        outbox.forgotten.append(call.id)
        if recipes.remove(call):
            outbox.over.append(call.id)
            _release_inputs(ledger, [call])
        return
    recipes.past[call.id] = call
    if call.kept:
        recipes.add_value(call)
        return
    outbox.forgotten.append(call.id)
    if call.id not in recipes.sizes:
        _cut(ledger, [call], call, f"value was let go, and {forbids(call.order.options) or call.unmade}")


def trim(ledger: Ledger) -> None:
    """Let the oldest recipes go until the rest is within the bound."""
    recipes = ledger.recipes
    while recipes.nbytes > recipes.limit:
        name = next(iter(recipes.sizes))
        call = find(ledger, name)
        assert call is not None, f"the recipe of {name} is kept and its call is not"
        _cut(ledger, [call], call, f"recipe had been let go, because {recipes.bound}")


def cut(ledger: Ledger, call: Call, whose: str) -> None:
    """The value of a call is gone for good: it needs no recipe, and what was made from it cannot be made again.

    `whose` says how, as the end of a sentence: "value was lost".
    """
    if ledger.recipes.remove(call):
        ledger.outbox.over.append(call.id)
        _release_inputs(ledger, [call])
    heirs, call.heirs = call.heirs or {}, None
    _cut(ledger, list(heirs.values()), call, whose)


def _cut(ledger: Ledger, gone: list[Call], root: Call, whose: str) -> None:
    """Let recipes go, and, where the values are gone too, those of all that cannot be made without."""
    recipes, outbox = ledger.recipes, ledger.outbox
    claims: list[Call] = []
    while gone:
        call = gone.pop()
        call.unmade = (
            f"its {whose}" if call is root else f"it was made from {root.title!r} ({root.id}), whose {whose}"
        )
        had_recipe = recipes.remove(call) and not call.kept
        if had_recipe:
            outbox.over.append(call.id)
            claims.append(call)
        if recipes.past.pop(call.id, None) is not None:
            if call.kept:
                outbox.forgotten.append(call.id)
            heirs, call.heirs = call.heirs or {}, None
            gone += heirs.values()
    _release_inputs(ledger, claims)


def _release_inputs(ledger: Ledger, calls: list[Call]) -> None:
    """The recipes of these calls are gone: forget what was kept for them alone, and for these in turn."""
    recipes, outbox = ledger.recipes, ledger.outbox
    while calls:
        call = calls.pop()
        for name in call.order.inputs:
            source = find(ledger, name)
            if source is None or source.heirs is None:
                continue
            source.heirs.pop(call.id, None)
            if source.heirs:
                continue
            source.heirs = None
            if recipes.past.pop(name, None) is not None:
                recipes.remove(source)
                if source.kept:
                    outbox.forgotten.append(name)
                else:
                    outbox.over.append(name)
                    calls.append(source)

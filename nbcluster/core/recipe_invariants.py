"""What must hold of recipes after every step, whatever happened. Knows every table; changes none."""

from __future__ import annotations

from nbcluster.core.model import FINAL, Call, TaskState
from nbcluster.core.recipes import OVERHEAD, find, forbids
from nbcluster.core.scheduler import Scheduler
from nbcluster.ids import TaskId


def check_recipes(scheduler: Scheduler) -> None:
    """Raise AssertionError with a sentence when what is kept for values on engines contradicts itself."""
    ledger = scheduler.ledger
    recipes = ledger.recipes
    assert recipes.past.keys().isdisjoint(scheduler.calls.keys()), "calls are past and in use"
    claims: dict[TaskId, set[TaskId]] = {}
    functions: dict[str, int] = {}
    for name in recipes.sizes:
        call = find(ledger, name)
        assert call is not None, f"the recipe of {name} is kept, which is forgotten"
        assert call.state is TaskState.DONE, f"the recipe of {name} is kept, which is {call.state.value}"
        if call.kept:
            assert name in recipes.past, f"the value of {name} counts as a recipe, and it is in use"
            continue
        assert not call.lost, f"the recipe of {name} is kept, whose value {call.lost}"
        assert not forbids(call.order.options), (
            f"the recipe of {name} is kept, and {forbids(call.order.options)}"
        )
        functions[call.order.function] = functions.get(call.order.function, 0) + 1
        for source in call.order.inputs:
            assert find(ledger, source) is not None, f"{name} is made from {source}, which is forgotten"
            claims.setdefault(source, set()).add(name)
    for call in (*scheduler.calls.values(), *recipes.past.values()):
        heirs = set(call.heirs or {})
        assert heirs == claims.get(call.id, set()), (
            f"{call.id} has the heirs {heirs}, not {claims.get(call.id)}"
        )
        assert call.heirs is None or heirs, f"{call.id} keeps an empty table of heirs"
    for call in recipes.past.values():
        assert call.heirs, f"{call.id} is past, and no recipe needs it"
        assert call.id in recipes.sizes, f"{call.id} is past, and has neither a recipe nor a value here"
        is_needed = call.held or call.keyed or call.needed > 0
        assert not is_needed, f"{call.id} is past, and is needed"
    for call in scheduler.calls.values():
        _check_call(scheduler, call)
    used = {digest: uses for digest, (uses, _) in recipes.functions.items()}
    assert used == functions, f"recipes need the functions {functions}, not {used}"
    total = sum(recipes.sizes.values()) + sum(nbytes for _, nbytes in recipes.functions.values())
    assert recipes.nbytes == total, f"recipes are said to take {recipes.nbytes} bytes, and take {total}"
    assert min(recipes.sizes.values(), default=OVERHEAD) >= OVERHEAD, "a recipe counts too little"
    assert recipes.nbytes <= recipes.limit, f"recipes take {recipes.nbytes} bytes, more than {recipes.limit}"


def _check_call(scheduler: Scheduler, call: Call) -> None:
    is_on_engine = call.state is TaskState.DONE and not call.kept and not call.lost
    if is_on_engine and call.id not in scheduler.ledger.recipes.sizes:
        assert forbids(call.order.options) or call.unmade, f"{call.id} has no recipe, for no reason"
    assert not call.again or call.outcome is None, f"{call.id} has ended and makes its value again"
    assert not call.again or call.state not in FINAL, f"{call.id} makes its value again and is {call.state}"
    if call.again and call.state in (TaskState.WAITING, TaskState.READY):
        assert call.held or call.keyed or call.needed or call.heirs, f"nobody needs {call.id}, made again"
    if call.state in FINAL and call.state is not TaskState.DONE:
        assert not call.heirs, f"{call.id} has no value, and others are to be made from it"

"""The synchronous classes offer what their asynchronous twins offer, with the same signatures."""

from __future__ import annotations

import inspect

import pytest

from nbcluster.client.aio import AsyncCluster
from nbcluster.client.cluster import Cluster
from nbcluster.client.namespaces import AsyncNamespace
from nbcluster.client.submitting import AsyncSubmitter, Submitter
from nbcluster.client.syncviews import Namespace, View
from nbcluster.client.views import AsyncView

OTHERWISE = {
    "start": "Cluster() starts",
    "engines": "a property that asks",
    "connection": "for the layers above, on the loop",
    "post_soon": "for runs, from any thread",
    "is_scripts_own": "for the facade itself",
    "loop": "the facade has none",
    "gathered": "for views",
    "on_each": "for views",
    "putting": "for the facade itself",
    "results_of": "for the facade itself",
    "send": "for the facade itself",
    "send_file": "for the facade itself",
    "unbind": 'del view["x"]',
    "note_scatter": "for the facade itself",
    "wait_room": "for the facade itself",
    "where_scattered": "for the facade itself",
}
"""Public names of the twins that the facades have not, and why."""

ITEMS = {"__getitem__", "__setitem__", "__delitem__", "__init__"}
"""Of views and namespaces: `await` has no such forms."""


def public_methods(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(kind, callable)
        if not name.startswith("_") or name in ("__init__", "__getitem__")
    }


PAIRS = [
    (Cluster, AsyncCluster),
    (View, AsyncView),
    (Namespace, AsyncNamespace),
    (Submitter, AsyncSubmitter),
]


@pytest.mark.parametrize(("facade", "twin"), PAIRS)
def test_signatures_are_the_same(facade: type, twin: type) -> None:
    ours, theirs = public_methods(facade), public_methods(twin)
    if facade is not Cluster:
        ours = {name: signature for name, signature in ours.items() if name not in ITEMS}
        theirs = {name: signature for name, signature in theirs.items() if name not in ITEMS}
    missing = set(theirs) - set(ours) - set(OTHERWISE)
    assert not missing
    assert not set(ours) - set(theirs)
    for name, signature in ours.items():
        mine = [(p.name, p.kind, p.default) for p in signature.parameters.values()]
        other = [(p.name, p.kind, p.default) for p in theirs[name].parameters.values()]
        assert mine == other, name


def test_properties_are_the_same() -> None:
    def properties(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind, lambda member: isinstance(member, property))}

    instance = {"name", "idle_timeout", "last"}  # attributes of the twin, set in its __init__
    assert properties(AsyncCluster) - set(OTHERWISE) - properties(Cluster) == set()
    assert properties(Cluster) - properties(AsyncCluster) - instance == {"language", "calls"}


def test_what_can_block_takes_a_timeout_or_is_bounded_inside() -> None:
    names = "add scale remove restart wait_for_engines connect stop status interrupt signal logs set_options"
    for name in (*names.split(), *["futures", "tasks", "describe", "history", "forget"]):
        assert "timeout" in inspect.signature(getattr(Cluster, name)).parameters, name

"""The synchronous classes offer what their asynchronous twins offer, with the same signatures."""

from __future__ import annotations

import inspect

import pytest

from nbcluster.client.aio import AsyncCluster
from nbcluster.client.cluster import Cluster, View
from nbcluster.client.views import AsyncView

OTHERWISE = {
    "start": "Cluster() starts",
    "engines": "a property that asks",
    "connection": "for the layers above, on the loop",
    "post_soon": "for runs, from any thread",
    "is_scripts_own": "for the facade itself",
}
"""Public names of AsyncCluster that Cluster has not, and why."""


def public_methods(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(kind, callable)
        if not name.startswith("_") or name in ("__init__", "__getitem__")
    }


@pytest.mark.parametrize(("facade", "twin"), [(Cluster, AsyncCluster), (View, AsyncView)])
def test_signatures_are_the_same(facade: type, twin: type) -> None:
    ours, theirs = public_methods(facade), public_methods(twin)
    if facade is View:
        ours.pop("__init__")
        theirs.pop("__init__")
        assert set(theirs) - set(ours) == {"unbind"}  # del view["x"]
        theirs.pop("unbind")
        ours.pop("__getitem__")  # view["x"] is pull
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
    assert properties(Cluster) - properties(AsyncCluster) - instance == {"language"}


def test_what_can_block_takes_a_timeout_or_is_bounded_inside() -> None:
    for name in ("add", "scale", "remove", "restart", "wait_for_engines", "connect"):
        assert "timeout" in inspect.signature(getattr(Cluster, name)).parameters, name

"""What --ship sends: names that a cell reads, engines lack and the notebook has; again when the value is another."""

from __future__ import annotations

import re
import threading

from nbcluster.notebook.shipping import names_wanted, plan


def digest_of(name, value):
    [parcel] = plan([name], {name: value}, {0: {}}).parcels
    return parcel.digest


def test_names_of_ipython_are_never_wanted():
    code = "print(x, f'{y}', In, Out, _, __, _1, _i, _i2, _ih, get_ipython(), _own, hidden)"
    names = dict.fromkeys(
        ["x", "y", "In", "Out", "_", "__", "_1", "_i", "_i2", "_ih", "get_ipython", "_own"], 1
    )
    mark = object()
    assert names_wanted(code, {**names, "hidden": mark}, {"hidden": mark}) == ["x", "y", "_own"]
    assert names_wanted("hidden", {"hidden": 2}, {"hidden": mark}) == ["hidden"]


def test_what_is_missing_goes_where_it_is_missing():
    shipment = plan(["x"], {"x": 1}, {0: {}, 1: {"x": ""}, 2: {}})
    assert [(parcel.name, parcel.engines) for parcel in shipment.parcels] == [("x", (0, 2))]
    assert shipment.told() == ["shipped x to engines 0,2"]


def test_what_was_shipped_goes_again_only_when_it_has_changed():
    same = digest_of("x", [1, 2])
    assert plan(["x"], {"x": [1, 2]}, {0: {"x": same}}).parcels == []
    [parcel] = plan(["x"], {"x": [1, 2, 3]}, {0: {"x": same}, 1: {"x": ""}}).parcels
    assert parcel.engines == (0,)


def test_what_something_else_has_bound_is_not_even_pickled():
    class Trap:
        def __reduce__(self):
            raise AssertionError("it was pickled")

    shipment = plan(["x"], {"x": Trap()}, {0: {"x": ""}})
    assert (shipment.parcels, shipment.left) == ([], {})


def test_sizes_of_large_values_are_said_and_what_cannot_go_is():
    names = {"data": bytes(8 << 20), "fit": len, "lock": threading.Lock()}
    shipment = plan(list(names), names, {n: {} for n in range(4)})
    first, second = shipment.told()
    assert first == "shipped data (8 MiB) and fit to engines 0-3"
    assert second.startswith("not shipped: 'lock'")


def test_how_much_is_said_of_all_but_the_smallest():
    names = {"small": 1, "some": bytes(5 << 10), "more": bytes(90 << 10)}
    [told] = plan(list(names), names, {0: {}}).told()
    assert re.fullmatch(r"shipped small, some \(5\.0\d KiB\) and more \(90(\.\d)? KiB\) to engine 0", told), (
        told
    )


def test_large_buffers_count_in_the_digest():
    one, other = bytearray(1 << 20), bytearray(1 << 20)
    other[-1] = 1
    assert digest_of("x", one) != digest_of("x", other)
    assert digest_of("x", one) == digest_of("x", bytearray(1 << 20))

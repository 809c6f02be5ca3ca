"""What goes to disk is enough and no more, the least recently used first; what may stay follows from the numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcluster.engine.pressure import (
    SMALLEST,
    Limits,
    Use,
    has_room,
    may_begin,
    may_stay,
    reserve_of,
    to_spill,
    wants_relief,
)

BYTES = st.integers(0, 1 << 40)
VALUES = st.lists(st.one_of(st.integers(0, SMALLEST * 2), BYTES), max_size=30).map(
    lambda sizes: [(f"t{index}", size) for index, size in enumerate(sizes)]
)
LIMITS = st.builds(Limits, BYTES, st.booleans(), st.integers(0, 1 << 30))
USES = st.builds(Use, BYTES, BYTES)


@given(USES, LIMITS, VALUES)
def test_enough_goes_to_disk_and_no_more(use: Use, limits: Limits, values: list[tuple[str, int]]) -> None:
    chosen = to_spill(use, limits, values)
    sizes = dict(values)
    large = [name for name, size in values if size >= SMALLEST]

    assert chosen == large[: len(chosen)], "the least recently used go first, and small ones stay"
    freed = sum(sizes[name] for name in chosen)
    if not wants_relief(use, limits):
        assert not chosen
        return
    after = Use(use.used - freed, use.available + freed)
    enough = (not limits.limit or after.used <= limits.spill_to) and after.available >= 2 * limits.reserve
    assert enough or chosen == large, "all that may go goes when that is not enough"
    if chosen:
        last = sizes[chosen[-1]]
        before = Use(after.used + last, after.available - last)
        assert (limits.limit and before.used > limits.spill_to) or before.available < 2 * limits.reserve, (
            "the last one would not have been needed"
        )


@given(USES, LIMITS, VALUES)
def test_what_has_gone_is_relief(use: Use, limits: Limits, values: list[tuple[str, int]]) -> None:
    freed = sum(dict(values)[name] for name in to_spill(use, limits, values))
    after = Use(use.used - freed, use.available + freed)
    rest = values[len(to_spill(use, limits, values)) :]

    if not wants_relief(after, limits):
        assert not to_spill(after, limits, rest), "a second look finds nothing to do"


@given(USES, LIMITS, BYTES, BYTES)
def test_a_smaller_value_has_room_where_a_larger_one_has(
    use: Use, limits: Limits, small: int, large: int
) -> None:
    small, large = sorted((small, large))

    assert has_room(use, limits, small) or not has_room(use, limits, large)
    assert may_stay(use, limits, small) or not may_stay(use, limits, large)
    assert may_begin(use, limits) or not may_stay(use, limits, large)
    if has_room(use, limits, large):
        assert may_stay(use, limits, large), "what has room may stay"


@given(USES, st.integers(1, 1 << 40), BYTES)
def test_a_share_that_nobody_asked_for_is_no_wall(use: Use, limit: int, nbytes: int) -> None:
    plenty = Use(use.used, 1 << 50)

    assert may_stay(plenty, Limits(limit), nbytes)
    assert may_stay(plenty, Limits(limit, strict=True), nbytes) == (use.used + nbytes <= limit)


@given(USES, BYTES)
def test_without_a_limit_only_the_host_counts(use: Use, nbytes: int) -> None:
    limits = Limits(0, reserve=1 << 20)

    assert has_room(use, limits, nbytes) == (use.available - nbytes >= 1 << 20)
    assert wants_relief(use, limits) == (use.available < 1 << 20)


@pytest.mark.parametrize(
    ("total", "reserve"),
    [(64 << 20, 16 << 20), (1 << 30, 64 << 20), (10 << 30, (10 << 30) // 50), (1 << 40, 512 << 20)],
)
def test_of_each_host_something_is_left(total: int, reserve: int) -> None:
    assert reserve_of(total) == reserve

"""Keys of a connection, and records that nobody else can read or change."""

from __future__ import annotations

import pytest

from nbcluster.transport.landing import Tampered
from nbcluster.transport.sealing import TAG, KeyPair, Opener, Sealer, told


def keys(ticket: bytes = b"t" * 32, other_ticket: bytes | None = None, nonce: bytes = b"n") -> list[bytes]:
    """The keys of the asking end, then of the answering one."""
    asking, answering = KeyPair(), KeyPair()
    both = told("t", nonce, asking.public, answering.public)
    return [
        *asking.keys(answering.public, ticket, both),
        *answering.keys(asking.public, other_ticket or ticket, both),
    ]


def test_both_ends_come_to_the_same_keys_one_for_each_direction() -> None:
    ours, theirs, ours_there, theirs_there = keys()
    assert (ours, theirs) == (ours_there, theirs_there)
    assert ours != theirs
    assert {len(ours), len(theirs)} == {32}
    assert not set(keys()) & {ours, theirs}, "another connection has others"


def test_who_holds_another_ticket_comes_to_other_keys() -> None:
    assert len(set(keys(other_ticket=b"u" * 32))) == 4


def test_what_was_told_is_in_the_keys() -> None:
    one, two = KeyPair(), KeyPair()
    made = {
        one.keys(two.public, b"t", told(task, nonce, one.public, two.public))
        for task, nonce in (("t", b"n"), ("u", b"n"), ("t", b"m"))
    }
    assert len(made) == 3


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(32)])
def test_what_is_no_key_is_refused(key: bytes) -> None:
    with pytest.raises(Tampered, match="no public key"):
        KeyPair().keys(key, b"t", b"")


def sealed(*plain: bytes) -> list[bytes]:
    sealer = Sealer(b"k" * 32)
    records = []
    for each in plain:
        record = bytearray(len(each) + TAG)
        sealer.seal(each, memoryview(record))
        records.append(bytes(record))
    return records


def opened(*records: bytes, key: bytes = b"k" * 32) -> list[bytes]:
    opener = Opener(key)
    plain = []
    for each in records:
        space = bytearray(len(each) - TAG)
        opener.open(each, memoryview(space))
        plain.append(bytes(space))
    return plain


def test_records_come_as_they_were_sealed_and_look_different() -> None:
    records = sealed(b"one", b"", b"one")
    assert opened(*records) == [b"one", b"", b"one"]
    assert records[0] != records[2]
    assert b"one" not in records[0]


def test_nothing_can_be_done_to_records() -> None:
    first, second = sealed(b"first", b"second")
    wrong = {
        "another order": (second, first),
        "one left out": (second,),
        "one repeated": (first, first),
        "one cut off": (first[:-1],),
        "a byte changed": (bytes([first[0] ^ 1]) + first[1:],),
        "the tag changed": (first[:-1] + bytes([first[-1] ^ 1]),),
    }
    for records in wrong.values():
        with pytest.raises(Tampered, match="not what was sent"):
            opened(*records)
    with pytest.raises(Tampered, match="not what was sent"):
        opened(first, key=b"l" * 32)

"""The grammar of targets, and what it means in a cluster."""

from __future__ import annotations

import pytest

from nbcluster.core.model import Engine, EngineState
from nbcluster.core.targets import check_tags, from_python, matches, parse, resolve
from nbcluster.errors import EngineLost, NoEngines, UnknownTarget, UsageError
from nbcluster.protocol.messages import KernelSpecRef


def engine(number, language="python", state=EngineState.IDLE, kernel="", tags=(), host="n1", note=""):
    return Engine(number, number + 1, KernelSpecRef(kernel, tags), state, language, kernel, host, note=note)


CLUSTER = [
    engine(5, tags=("gpu",), host="n2.example.org"),
    engine(0),
    engine(1, tags=("gpu", "10.0.0.3")),
    engine(2, "R", kernel="ir", tags=("big",)),
]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", (0, 1, 5)),
        ("  ", (0, 1, 5)),
        ("all", (0, 1, 2, 5)),
        ("any", (0, 1, 5)),
        ("0", (0,)),
        ("-1", (5,)),
        ("-4", (2,)),
        ("0:2", (0, 1)),
        ("2:5", (2,)),
        ("::2", (0, 2)),
        (":", (0, 1, 2, 5)),
        ("-2:", (5,)),
        ("::-1", (5, 2, 1, 0)),
        ("0,2:4", (0, 2)),
        ("5, 0, 5", (5, 0)),
        ("0,", (0,)),
        ("gpu", (1, 5)),
        ("big,0", (2, 0)),
        ("n1", (0, 1, 2)),
        ("n2.example.org", (5,)),
        ("10.0.0.3", (1,)),
        ("r", (2,)),
        ("R", (2,)),
        ("ir", (2,)),
        ("python", (0, 1, 5)),
        ("all,0", (0, 1, 2, 5)),
    ],
)
def test_targets_mean_these_engines(text, numbers):
    assert resolve(parse(text), CLUSTER, "python") == numbers


def test_the_default_is_of_the_clients_language():
    assert resolve(parse(""), CLUSTER, "R") == (2,)


@pytest.mark.parametrize(
    ("text", "single"),
    [
        ("0", True),
        ("-1", True),
        ("any", True),
        ("0,", False),
        ("0,0", False),
        ("0:1", False),
        ("", False),
        ("all", False),
        ("gpu", False),
    ],
)
def test_one_number_or_any_is_single(text, single):
    assert parse(text).single is single


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0,,1", "nothing between two commas"),
        (",", "nothing between two commas"),
        ("any,0", "stands alone"),
        ("any,", "stands alone"),
        ("0 1", "need commas: 0, 1"),
        ("gpu big", "need commas: gpu, big"),
        ("0-3", "write 0:4"),
        ("1.5", "whole numbers"),
        ("+1", "whole numbers"),
        ("1e3", "whole numbers"),
        ("0:1:0", "step 0"),
        ("a:b", "no slice"),
        ("0:1:2:3", "no slice"),
        ("--1", "cannot be a target"),
        ("{x}", "cannot be a target"),
        ("[0]", "cannot be a target"),
    ],
)
def test_malformed_targets_are_refused(text, says):
    with pytest.raises(UsageError, match=says):
        parse(text)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("3", UnknownTarget, "no engine 3; there are engines 0, 1, 2, 5"),
        ("0,3", UnknownTarget, "no engine 3"),
        ("-2", UnknownTarget, "no engine -2"),
        ("-7", UnknownTarget, "no engine -7"),
        ("gpuu", UnknownTarget, "did you mean 'gpu'.*engines 0, 1, 2, 5 and .*big, gpu"),
        ("ALL", UnknownTarget, "did you mean 'all'"),
        ("zzz", UnknownTarget, "no engine is called 'zzz'; there are"),
        ("3:5", NoEngines, "'3:5' matches no engine"),
    ],
)
def test_what_does_not_exist_is_named(text, error, says):
    with pytest.raises(error, match=says):
        resolve(parse(text), CLUSTER, "python")


def test_an_empty_cluster_says_so():
    with pytest.raises(NoEngines, match="the cluster has none"):
        resolve(parse(""), [], "python")
    with pytest.raises(UnknownTarget, match="the cluster has no engines"):
        resolve(parse("0"), [], "python")


def test_failed_and_leaving_engines_are_skipped_but_refused_by_number():
    cluster = [
        engine(0),
        engine(1, state=EngineState.FAILED, tags=("gpu",), note="no module named ipykernel"),
        engine(2, state=EngineState.STOPPING),
    ]
    assert resolve(parse("all"), cluster, "python") == (0,)
    assert resolve(parse("0:3"), cluster, "python") == (0,)
    with pytest.raises(EngineLost, match="no module named ipykernel"):
        resolve(parse("1"), cluster, "python")
    with pytest.raises(EngineLost, match="being removed"):
        resolve(parse("2"), cluster, "python")
    with pytest.raises(NoEngines, match="failed"):
        resolve(parse("gpu"), cluster, "python")
    assert resolve(parse("-1"), cluster, "python", failed_too=True) == (1,)
    assert resolve(parse("all"), cluster, "python", failed_too=True) == (0, 1)


def test_an_engine_that_has_never_answered_is_known_by_its_kernel():
    cluster = [
        engine(0, language="", state=EngineState.STARTING),
        engine(1, "", EngineState.STARTING, kernel="bash"),
    ]
    assert resolve(parse(""), cluster, "python") == (0,)
    assert resolve(parse("bash"), cluster, "python") == (1,)


def test_one_engine_is_tested_without_errors():
    assert matches(parse("7,5"), CLUSTER[0], CLUSTER, "python")
    assert matches(parse("-1"), CLUSTER[0], CLUSTER, "python")
    assert not matches(parse("nothing"), CLUSTER[0], CLUSTER, "python")


class Integer:
    """An integer of another library."""

    def __index__(self):
        return 3


class Array:
    """What numpy's arrays look like from outside."""

    def tolist(self):
        return [0, 3]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (0, "0"),
        (-1, "-1"),
        (Integer(), "3"),
        (slice(0, 2), "0:2"),
        (slice(None), ":"),
        (slice(None, None, 2), "::2"),
        ([0, 3], "0,3"),
        ([0], "0,"),
        ((0, "gpu"), "0,gpu"),
        ([slice(0, 2), 5], "0:2,5"),
        (range(3), "0,1,2"),
        (Array(), "0,3"),
        ("gpu", "gpu"),
        (" any ", "any"),
        ("", ""),
    ],
)
def test_keys_of_views_become_text(key, text):
    assert from_python(key) == text
    parse(text)


@pytest.mark.parametrize("key", [1.5, None, True, {"a": 1}, [0, 1.5], [None], slice("a", "b"), object()])
def test_keys_of_other_types_are_refused(key):
    with pytest.raises(UsageError, match="only integers, slices"):
        from_python(key)


@pytest.mark.parametrize("key", [[], (), "0,,1", slice(0, 1, 0), ["any", 0]])
def test_keys_that_mean_nothing_are_refused(key):
    with pytest.raises(UsageError):
        from_python(key)


@pytest.mark.parametrize("tag", ["any", "all", "", "3", "-1", "1.5", "1e3", "0-3", "a b", "a,b", "a:b", "-x"])
def test_tags_that_no_target_could_name_are_refused(tag):
    with pytest.raises(UsageError, match="cannot be a tag"):
        check_tags(["fine", tag])


@pytest.mark.parametrize("tag", ["gpu", "node-1", "a100", "10.0.0.3", "c++", "größe"])
def test_a_tag_can_be_named_by_a_target(tag):
    check_tags([tag])
    assert resolve(parse(tag), [engine(0, tags=(tag,))], "python") == (0,)

"""What people type after the magics' names, and what is said when it cannot be meant."""

import pytest

from nbcluster.errors import UsageError
from nbcluster.notebook import clustergrammar
from nbcluster.notebook.clustergrammar import parse_cluster
from nbcluster.notebook.grammar import CellOptions, parse_cell, parse_line
from nbcluster.notebook.words import expand

NAMES = {"n": 3, "chosen": [0, 2], "part": slice(1, None)}


def fill(word: str) -> str:
    return expand(word, lambda text: eval(text, {}, NAMES))


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("", CellOptions()),
        ("0", CellOptions(targets="0")),
        ("0, 2:4", CellOptions(targets="0,2:4")),
        ("0 ,2", CellOptions(targets="0,2")),
        ("-1", CellOptions(targets="-1")),
        ("::2 --async", CellOptions(targets="::2", background=True)),
        ("--async gpu", CellOptions(targets="gpu", background=True)),
        ("--on 0, 1 --local", CellOptions(targets="0,1", local=True)),
        ("-t 'my tag'", CellOptions(targets="my tag")),
        ("--targets=any --timeout=2.5", CellOptions(targets="any", timeout=2.5)),
        ("--as fit --wait", CellOptions(name="fit", wait=True)),
        ("--group same --startup --fail-fast", CellOptions(group="same", startup=True, fail_fast=True)),
        ("--push x,y --pull z", CellOptions(push=("x", "y"), pull=("z",))),
        ("--push x, y, x", CellOptions(push=("x", "y"))),
        ("--scatter v --gather w,u", CellOptions(scatter=("v",), gather=("w", "u"))),
        ("--ship --live", CellOptions(ship=True, live=True)),
        ("0 --namespace exp1", CellOptions(targets="0", namespace="exp1")),
        ("--retries 2 --priority -5", CellOptions(retries=2, priority=-5)),
        ("--resources gpu=1,memory=2.5", CellOptions(resources={"gpu": 1.0, "memory": 2.5})),
        ("{n}", CellOptions(targets="3")),
        ("{ chosen } --cluster c{n}", CellOptions(targets="0,2", cluster="c3")),
        ("--on {part}", CellOptions(targets="1:")),
        ("{'a' if n > 2 else 'b'}", CellOptions(targets="a")),
    ],
)
def test_a_cell_line_is_read(line, meant):
    assert parse_cell(line, fill) == meant


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--asynk", "did you mean --async"),
        ("--after 3", "no name that Python could bind"),
        ("--after a --live", "--after waits for others and --live does not"),
        ("--after a --startup", "--after waits for others and --startup does not"),
        ("--timeout", "needs a value"),
        ("--timeout --async", "needs a value"),
        ("--timeout soon", "no number of seconds"),
        ("--timeout nan", "more than 0"),
        ("--timeout -1", "more than 0"),
        ("--group sane", "did you mean same"),
        ("--as 3x", "no name"),
        ("--as class", "no name"),
        ("--push 3x", "no name"),
        ("--pull x,,y", "no name"),
        ("--scatter lambda", "no name"),
        ("--namespace a-b", "no name"),
        ("--retries -1", "0 or more"),
        ("--retries two", "no whole number"),
        ("--priority high", "no whole number"),
        ("--resources gpu", "name=amount"),
        ("--resources gpu=0", "name=amount"),
        ("--resources gpu=1,gpu=2", "twice"),
        ("--live --startup", "write one of them"),
        ("--push x --push y", "twice"),
        ("0 --on 1", "twice"),
        ("--on 0 -t 1", "twice"),
        ("0 1", "one word too many"),
        ("--async=yes", "takes no value"),
        ("'0", "not closed"),
        ("{n", "not closed"),
        ("{nope}", "NameError"),
    ],
)
def test_a_cell_line_that_cannot_be_meant_is_refused(line, said):
    with pytest.raises(UsageError, match=said):
        parse_cell(line, fill)


@pytest.mark.parametrize(
    ("options", "blocks"),
    [("", True), ("--async", False), ("--as f", False), ("--as f --wait", True), ("--async --wait", True)],
)
def test_a_cell_blocks_unless_it_is_async(options, blocks):
    assert parse_cell(options, fill).blocks is blocks


def test_code_on_a_line_is_not_touched():
    options, code = parse_line("--on {n} --local  print(f'{n}',  \"--on\", {1: 2})", fill)
    assert (options, code) == (
        CellOptions(targets="3", local=True),
        "print(f'{n}',  \"--on\", {1: 2})",
    )


def test_code_that_begins_with_a_quote_or_is_missing():
    assert parse_line("'it''s'.upper()", fill)[1] == "'it''s'.upper()"
    with pytest.raises(UsageError, match="no code"):
        parse_line("--on 0", fill)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("", clustergrammar.Panel()),
        ("status", clustergrammar.Status()),
        ("start -n 4", clustergrammar.Start(n=4)),
        (
            "start --name a --kernel bash --tags gpu,big -o idle_timeout=1h -o timeout=5",
            clustergrammar.Start(
                name="a", kernel="bash", tags=("gpu", "big"), options={"idle_timeout": 3600, "timeout": 5}
            ),
        ),
        ("start -n 0 -o idle_timeout=never", clustergrammar.Start(n=0, options={"idle_timeout": None})),
        ("connect", clustergrammar.Connect()),
        ("connect a", clustergrammar.Connect("a")),
        ("use a", clustergrammar.Use("a")),
        ("list", clustergrammar.List()),
        ("add 2 --kernel ir", clustergrammar.Add(2, "ir")),
        ("scale {n}", clustergrammar.Scale(3)),
        ("restart 0, 2", clustergrammar.Restart("0,2")),
        ("interrupt", clustergrammar.Interrupt()),
        ("cancel fit", clustergrammar.Cancel("fit")),
        ("set idle_timeout=never", clustergrammar.Set(None)),
        ("set idle_timeout=30m", clustergrammar.Set(1800)),
        ("stop --force", clustergrammar.Stop(force=True)),
    ],
)
def test_a_cluster_line_is_read(line, meant):
    assert parse_cluster(line, fill) == meant


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("strat", "did you mean start"),
        ("gui", "no command 'gui'; did you mean ui"),
        ("start -n -1", "0 or more"),
        ("start -n many", "whole number"),
        ("start 4", "one word too many"),
        ("start -o idle_timeot=3", "did you mean idle_timeout"),
        ("start -o idle_timeout", "key=value"),
        ("start -o timeout=never", "needs an end"),
        ("start -n 1 -n 2", "twice"),
        ("use", "something is missing"),
        ("set idle=3", "what can be set"),
        ("stop --forse", "did you mean --force"),
        ("stop -f", "no option -f"),
    ],
)
def test_a_cluster_line_that_cannot_be_meant_is_refused(line, said):
    with pytest.raises(UsageError, match=said):
        parse_cluster(line, fill)


def test_options_of_a_graph_are_read():
    options = parse_cell("--graph --pure fit,predict --plan --pull a,all", fill)
    assert (options.graph, options.plan, options.pure, options.pull) == (
        True,
        True,
        ("fit", "predict"),
        ("a", "all"),
    )
    assert options.blocks


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--graph --after a", "--after is not for --graph"),
        ("--pure fit", "--pure is about --graph"),
        ("--graph --live", "--live is not for --graph: its statements are calls"),
        ("--graph --as x", "--as is not for --graph"),
        ("--graph --pure 3", "no name that Python could bind"),
    ],
)
def test_what_a_graph_does_not_take_is_said(line, said):
    with pytest.raises(UsageError, match=said):
        parse_cell(line, fill)

"""The words of the command line, read without running anything."""

from __future__ import annotations

import argparse
import importlib

import pytest

from nbcluster.cli.arguments import build_parser, duration, tags


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("2d", 172800), ("never", -1)],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-3", "1 week", "inf", "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no time"):
        duration(text)


def test_tags_are_words_between_commas() -> None:
    assert tags("a, b,,c") == ("a", "b", "c")


@pytest.mark.parametrize(
    "words",
    [
        "start",
        "stop",
        "scale 2",
        "list",
        "status",
        "engines",
        "logs",
        "console 0",
        "run x",
        "doctor",
        "clean",
    ],
)
def test_every_verb_has_its_function(words: str) -> None:
    module, _, function = build_parser().parse_args(words.split()).does.partition(":")
    assert callable(getattr(importlib.import_module(f"nbcluster.cli.{module}"), function))


def test_a_cluster_of_the_command_line_has_no_idle_end_and_a_name() -> None:
    arguments = build_parser().parse_args(["start"])
    assert (arguments.name, arguments.idle_timeout, arguments.n) == ("default", -1.0, None)

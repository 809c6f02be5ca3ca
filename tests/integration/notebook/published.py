"""Reads what a notebook's kernel has published of a cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

COLOURS = re.compile(r"\x1b\[[0-9;]*m")

Published = Sequence[dict[str, Any]]


def error_of(published: Published) -> str:
    """Return the traceback of the one error, without colours."""
    [error] = [said["content"] for said in published if said["msg_type"] == "error"]
    return COLOURS.sub("", "\n".join(error["traceback"]))


def streams(published: Published) -> list[str]:
    """Return the pieces of text, in order."""
    return [said["content"]["text"] for said in published if said["msg_type"] == "stream"]


def printed(published: Published) -> str:
    """Return all that was printed, without colours."""
    return COLOURS.sub("", "".join(streams(published)))

"""The code in the pages about calls and names: it runs as it stands, and values in comments are the values."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from nbcluster import Cluster

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("page", ["calls.md", "namespaces.md"])
def test_the_code_of_a_page(page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)
    assert blocks
    with Cluster(4) as cluster:
        names: dict[str, Any] = {"cluster": cluster}
        checked = sum(run(block, names) for block in blocks)
    assert checked, "no page is without a value"


def run(block: str, names: dict[str, Any]) -> int:
    """Run a block statement by statement; return how many values were compared."""
    checked = 0
    lines = block.splitlines()
    for statement in ast.parse(block).body:
        comment = (
            lines[(statement.end_lineno or 1) - 1][statement.end_col_offset or 0 :].strip().removeprefix("# ")
        )
        if not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), "<page>", "exec"), names)
            continue
        value = eval(compile(ast.Expression(statement.value), "<page>", "eval"), names)
        if re.match(r"[\d{\[]", comment):
            assert value == ast.literal_eval(comment), ast.unparse(statement)
            checked += 1
    return checked

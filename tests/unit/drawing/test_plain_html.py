"""What may stand within a console's HTML, and what is left to the notebook."""

from __future__ import annotations

import doctest

import pandas as pd
import pytest

from nbcluster.drawing import plainhtml
from nbcluster.drawing.plainhtml import LONGEST, is_plain


@pytest.mark.parametrize(
    "html",
    [
        "<p>&lt;b&gt; and more &#60;</p>",
        "<b>bold</b> and <i>slanted</i><br>",
        '<table class="a" border="1"><tr><th scope="row">x</th><td>1</td></tr></table>',
        '<img alt="dot" src="data:image/png;base64,AAAA">',
        '<a href="https://jupyter.org">there</a>',
        pd.DataFrame({"a": [1, 2], "b": ["<script>", "y"]})._repr_html_(),
    ],
)
def test_text_tables_and_pictures_may(html: str) -> None:
    assert is_plain(html)


@pytest.mark.parametrize(
    "html",
    [
        "text alone",
        "<script>f()</script>",
        '<img src="x" onerror="f()">',
        '<img src="https://example.org/counted.png">',
        '<img srcset="https://example.org/counted.png" src="data:image/png;base64,AAAA">',
        '<a href="javascript:f()">x</a>',
        '<a href=" javascript:f()">x</a>',
        '<iframe src="https://example.org"></iframe>',
        "<form><input></form>",
        "<svg><animate onbegin=f()></animate></svg>",
        "<style>@import 'https://example.org'</style>",
        "<style>p{background:url(https://example.org)}</style>",
        '<p style="background:url(https://example.org)">x</p>',
        "</div></div>",
        "<div>",
        "<b><i></b></i>",
        "<div/>",
        "<!-- a comment",
        "<!-- a comment --><p>x</p>",
        "<!doctype html><p>x</p>",
        "<p>x</p",
        "<![CDATA[x]]>",
        "<?php x ?>",
        "x < y <b",
        f"<p>{'x' * LONGEST}</p>",
    ],
)
def test_what_acts_is_not_whole_or_is_long_may_not(html: str) -> None:
    assert not is_plain(html)


def test_the_module_says_what_is_so() -> None:
    assert doctest.testmod(plainhtml).failed == 0

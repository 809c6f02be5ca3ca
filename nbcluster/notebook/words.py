"""Cuts the line of a magic into words, one at a time, and fills in `{expr}`. Knows no options."""

from __future__ import annotations

from collections.abc import Callable

from nbcluster.errors import UsageError

_QUOTES = "'\""


class Words:
    """The words of a line. Quotes hold a word together, and so do braces; what was not taken stays untouched.

    Parameters
    ----------
    line : str

    Examples
    --------
    >>> words = Words("0, 2 --as 'a b' rest  of it")
    >>> words.take_list(), words.take(), words.take(), words.rest()
    ('0,2', '--as', 'a b', 'rest  of it')
    """

    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0

    def peek(self) -> str | None:
        """Return the next word, or None at the end. Nothing is taken."""
        return self._next()[0]

    def take(self) -> str | None:
        """Return the next word and step over it; None at the end."""
        word, self._at = self._next()
        return word

    def take_list(self) -> str:
        """Take a word, and more of them as long as a comma joins them."""
        text = self.take() or ""
        while (following := self.peek()) is not None and (text.endswith(",") or following.startswith(",")):
            self.take()
            text += following
        return text

    def rest(self) -> str:
        """Return all that was not taken, as it was written."""
        return self._line[self._at :].strip()

    def _next(self) -> tuple[str | None, int]:
        line, at = self._line, self._at
        while at < len(line) and line[at].isspace():
            at += 1
        if at == len(line):
            return None, at
        word, quote, depth = "", "", 0
        while at < len(line):
            char = line[at]
            if quote:
                # A quote inside braces belongs to the expression and stays.
                if char == quote:
                    quote = ""
                    word += char if depth else ""
                else:
                    word += char
            elif char in _QUOTES:
                quote = char
                word += char if depth else ""
            elif char.isspace() and not depth:
                break
            else:
                depth += {"{": 1, "}": -1}.get(char, 0)
                word += char
            at += 1
        if quote:
            raise UsageError(f"the quote {quote} is not closed: {line[self._at :].strip()}")
        return word, at


def expand(word: str, evaluate: Callable[[str], object]) -> str:
    """Replace each `{expr}` of a word by its value; `{{` and `}}` are braces.

    Parameters
    ----------
    word : str
    evaluate : callable
        Gives the value of an expression in the notebook.

    Raises
    ------
    UsageError
        When a brace is not closed, or the expression fails.
    """
    out, at = "", 0
    while at < len(word):
        if word[at : at + 2] in ("{{", "}}"):
            out += word[at]
            at += 2
        elif word[at] == "{":
            end = _closing(word, at)
            out += _as_text(_evaluated(word[at + 1 : end], evaluate))
            at = end + 1
        else:
            out += word[at]
            at += 1
    return out


def _closing(word: str, start: int) -> int:
    depth = 0
    for at in range(start, len(word)):
        depth += {"{": 1, "}": -1}.get(word[at], 0)
        if depth == 0:
            return at
    raise UsageError(f"the brace in {word!r} is not closed")


def _evaluated(expression: str, evaluate: Callable[[str], object]) -> object:
    try:
        return evaluate(expression)
    except Exception as error:
        raise UsageError(
            f"{{{expression}}} has no value in the notebook: {type(error).__name__}: {error}"
        ) from error


def _as_text(value: object) -> str:
    match value:
        case list() | tuple() | range() | set() | frozenset():
            return ",".join(_as_text(part) for part in value)
        case slice(start=start, stop=stop, step=step):
            parts = [start, stop] if step is None else [start, stop, step]
            return ":".join("" if part is None else str(part) for part in parts)
        case _:
            return str(value)

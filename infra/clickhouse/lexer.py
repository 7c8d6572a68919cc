"""Just enough of ClickHouse's lexical rules to split scripts and to look at a statement's words."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | \#[!\ ][^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<string>  '(?:[^'\\]|\\.|'')*'? | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<quoted>  "(?:[^"\\]|\\.|"")*"? | `(?:[^`\\]|\\.|``)*`? )
    | (?P<space>   \s+ )
    | (?P<word>    [^\W\d]\w* )
    | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(sql: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of every token; the texts joined give ``sql`` again.

    Kinds: ``comment``, ``string``, ``quoted`` (an identifier), ``space``, ``word``, ``other`` (one character).
    """
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup
        yield ("string" if kind == "tag" or kind is None else kind), match.group()


def statements(script: str) -> list[str]:
    """Split a script at its semicolons, not at those in comments, strings or quoted names.

    Comments are dropped; statements without words too.

    >>> statements("SELECT ';' -- one; two\\n; ; SELECT 2")
    ["SELECT ';'", 'SELECT 2']
    """
    found: list[str] = []
    current: list[str] = []
    for kind, text in tokens(script):
        if (kind, text) == ("other", ";"):
            found.append("".join(current))
            current = []
        else:
            current.append(" " if kind == "comment" else text)
    found.append("".join(current))
    return [statement.strip() for statement in found if statement.strip()]

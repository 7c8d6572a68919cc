"""Which statements of strangers may run: a look at the words of a statement in the engine's own spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping

from inferwatch.infra.clickhouse.lexer import tokens
from inferwatch.schemas.errors import Permanent

SYNTAX_ERROR = 62
UNKNOWN_FORMAT = 73
READONLY = 164

STATEMENTS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "("})
TABLE_FUNCTIONS = frozenset(
    {
        "format",  # also an ordinary function; under readonly=1 the engine refuses the table function
        "generaterandom",
        "generateseries",
        "generate_series",
        "null",
        "numbers",
        "numbers_mt",
        "primes",
        "sqlstandardvalues",
        "values",
        "view",
        "zeros",
        "zeros_mt",
    }
)
"""Table functions that read nothing but their arguments; every other one the engine has is refused."""
FUNCTIONS = frozenset(
    {
        "file",  # reads files of the host, even under readonly=1
        "hascolumnintable",  # takes any database, also the engine's view of the host's files
        "joinget",
        "joingetornull",
        "getclienthttpheader",
        "addresstoline",
        "addresstolinewithinlines",
        "addresstosymbol",
    }
)
"""Ordinary functions that look outside the tables. Their names are refused wherever they stand."""
MODEL_CALL = re.compile(r"ai(generate|extract|classify|embed|translate|redact|filter|similarity)")
SYSTEM_TABLES = re.compile(
    r"stack_trace|symbols|named_collections|certificates|jemalloc\w*|remote_data_paths|fail_points"
)
"""Tables of ``system`` that show the process, its secrets or its threads."""
FILES = "default"
"""The embedded engine's database of this name resolves table names as file names."""


class Refused(Permanent):
    """A query that was not run, or that failed. ``code`` is ClickHouse's error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def words(canonical: str) -> list[tuple[str, str]]:
    """Return the tokens that matter: no space or comment, quoted identifiers without their quotes."""
    return [
        ("quoted", text[1:-1]) if kind == "quoted" else (kind, text)
        for kind, text in tokens(canonical)
        if kind not in ("space", "comment")
    ]


def check(said: list[tuple[str, str]], parameters: Mapping[str, str], banned: frozenset[str]) -> None:
    """Refuse what ``readonly=1`` lets through.

    Args:
        said: ``words`` of the one statement, as the engine's ``formatQuery`` wrote it.
        parameters: values of its ``{name:Type}``.
        banned: table functions to refuse, in lower case.

    Raises:
        Refused: with code READONLY and what was met.
    """
    first = said[0][1].upper() if said else ""
    if first not in STATEMENTS:
        raise Refused(READONLY, f"Only reading statements are answered here, got {first or 'nothing'}. (READONLY)")
    for (kind, text), (_, after), (_, third) in zip(
        said, [*said[1:], ("", "")], [*said[2:], ("", ""), ("", "")], strict=False
    ):
        if kind not in ("word", "quoted"):
            continue
        name = text.lower()
        if name == "into" and after.upper() == "OUTFILE":
            raise Refused(READONLY, "INTO OUTFILE is refused: results are answered, not written. (READONLY)")
        if name == "parallel" and after.upper() == "WITH":
            raise Refused(READONLY, "PARALLEL WITH is refused: one statement at a time. (READONLY)")
        # Also without arguments: arrayMap(file, …) and APPLY(file) call a function by its bare name.
        if _looks_outside(name) or (after == "(" and name in banned):
            raise Refused(READONLY, f"Function {text} is refused: it reads more than the tables. (READONLY)")
        if after == "." and name == FILES:
            raise Refused(READONLY, f"Database {text} is refused: it reads the host's files. (READONLY)")
        if after == "." and name == "system" and SYSTEM_TABLES.fullmatch(third.lower()):
            raise Refused(READONLY, f"Table system.{third} is refused: it shows the process. (READONLY)")
        if name == "identifier" and after == "}":
            _check_identifiers(parameters)


def _looks_outside(name: str) -> bool:
    return name in FUNCTIONS or MODEL_CALL.fullmatch(name) is not None


def _check_identifiers(parameters: Mapping[str, str]) -> None:
    """With an Identifier parameter about, no value may name a file or something refused above."""
    for name, value in parameters.items():
        parts = value.lower().split(".")
        if parts[0] in (FILES, "system") or any(map(_looks_outside, parts)) or not re.fullmatch(r"[\w .,:+-]*", value):
            raise Refused(
                READONLY, f"Parameter {name} cannot be {value!r} in a query with Identifier parameters. (READONLY)"
            )


def format_of(said: list[tuple[str, str]]) -> str:
    """Return the format of the FORMAT clause, which the engine writes last but for SETTINGS."""
    for place in range(len(said) - 2, 0, -1):
        if said[place] == ("word", "FORMAT") and said[place + 1][0] in ("word", "quoted"):
            rest = said[place + 2 :]
            if not rest or rest[0][1] == "SETTINGS":
                return said[place + 1][1]
    return ""

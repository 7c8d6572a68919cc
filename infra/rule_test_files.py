"""Test files of rules: YAML -> ``RuleTestFile``, with every mistake named by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from inferwatch.infra.expectations import expected, keys_of
from inferwatch.infra.positions import Place, parse
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.rule_tests import RuleTestFile
from inferwatch.schemas.rules import Rule


@dataclass(frozen=True)
class TestFile:
    """A test file as read, and the line of every part."""

    __test__ = False

    path: Path
    content: RuleTestFile
    lines: Mapping[Place, int]

    def at(self, *place: str | int) -> str:
        """Return ``FILE:LINE`` of a part."""
        return f"{self.path}:{_line(self.lines, place)}"

    def check_names(self, rules: tuple[Rule, ...]) -> None:
        """Refuse series that no rule looks at and rules that are not there: such a test would test nothing.

        Raises:
            Misconfigured: one line for each.
        """
        metrics = sorted({rule.metric for rule in rules})
        names = [rule.name for rule in rules]
        faults = [
            *self._unknown("series", "must be of a metric that a rule looks at", metrics),
            *self._unknown("alertname", "must be a rule", names),
        ]
        if faults:
            raise Misconfigured("\n".join(faults))

    def _unknown(self, key: str, wanted: str, known: list[str]) -> Iterator[str]:
        for i, test in enumerate(self.content.tests):
            given = {
                "series": [
                    *((("input_series", j), one.series.metric) for j, one in enumerate(test.input_series)),
                    *((("revisions", j), one.series.metric) for j, one in enumerate(test.revisions)),
                ],
                "alertname": [(("alert_rule_test", j), one.alertname) for j, one in enumerate(test.alert_rule_test)],
            }[key]
            for (part, j), name in given:
                if name not in known:
                    place = ("tests", i, part, j, key)
                    there = ", ".join(known) or "there is none"
                    yield f"{self.at(*place)}: {wanted} ({there}), got {name!r}{_meant(name, known)}"


def read_tests(path: Path) -> TestFile:
    """Return the tests in ``path``.

    Raises:
        Misconfigured: one line for each mistake, ``FILE:LINE: key: what is wrong``.
    """
    try:
        document = parse(path.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured(f"cannot read the test file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path}: must be UTF-8 text, byte {error.start} is not") from error
    if document.faults:
        raise Misconfigured("\n".join(f"{path}:{line}: {what}" for _, line, what in document.faults))
    if not isinstance(document.data, dict):
        raise Misconfigured(f"{path}:1: must be a mapping with tests")
    try:
        content = RuleTestFile.model_validate(document.data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # A list whose parts are wrong is also said to be too short.
        told = [one for one in found if one["type"] != "too_short" or one["input"] in ([], ())] or found
        faults = sorted(
            (_line(document.lines, one["loc"]), _dotted(one["loc"]), _said(one, document.data)) for one in told
        )
        raise Misconfigured("\n".join(f"{path}:{line}: {place}: {what}" for line, place, what in faults)) from error
    return TestFile(path, content, document.lines)


def _said(error: ErrorDetails, data: Any) -> str:
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            known = keys_of(expected(RuleTestFile, error["loc"][:-1], data))
            return f"is not a key of this part{_meant(str(error['loc'][-1]), known)}"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
    return f"{error['msg'].removeprefix('Input should be ')}, got {error['input']!r:.80}"


def _line(lines: Mapping[Place, int], place: Place) -> int:
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _dotted(place: Place) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _meant(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""

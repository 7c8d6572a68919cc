"""Reads a user's own log file into inference logs: which of its fields is which.

A mapping is written ``field=path``. ``field`` is a field of the inference log (``inferwatch schema``), dotted for a
member of ``usage`` or ``tags``. ``path`` leads to the value in the user's record, dotted, with numbers for list
places; a text in quotes is a constant. Fields that are not mapped keep their names::

    --map input=instruction --map output=choices.0.message.content --map application="'helpdesk'"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.inference import InferenceLog, Usage

_MEMBERS = ("usage", "tags")


@dataclass(frozen=True, slots=True)
class Rule:
    """One ``field=path``: where a value goes, and where it comes from or what it always is."""

    field: str
    path: tuple[str, ...] = ()
    constant: str | None = None


def parse_map(options: Iterable[str]) -> tuple[Rule, ...]:
    """Read ``--map`` options.

    Raises:
        Misconfigured: an option is not ``field=path``, names an unknown field, or a field twice.
    """
    rules: dict[str, Rule] = {}
    for option in options:
        field, equals, source = option.partition("=")
        field, source = field.strip(), source.strip()
        if not equals or not field or not source:
            raise Misconfigured(f"--map {option!r} must be written field=path, such as input=prompt.text")
        _known(option, field)
        if field in rules:
            raise Misconfigured(f"--map names {field!r} twice: {source!r} after {'.'.join(rules[field].path)!r}")
        if len(source) >= 2 and source[0] in "'\"" and source[-1] == source[0]:
            rules[field] = Rule(field, constant=source[1:-1])
        else:
            rules[field] = Rule(field, tuple(source.split(".")))
    return tuple(rules.values())


def _known(option: str, field: str) -> None:
    name, dot, member = field.partition(".")
    if name not in InferenceLog.model_fields:
        fields = ", ".join(InferenceLog.model_fields)
        raise Misconfigured(f"--map {option!r}: {name!r} is not a field of the inference log; it has {fields}")
    if dot and name not in _MEMBERS:
        raise Misconfigured(f"--map {option!r}: only {' and '.join(_MEMBERS)} have members")
    if name == "usage" and member not in Usage.model_fields:
        raise Misconfigured(f"--map {option!r}: usage has {', '.join(f'usage.{one}' for one in Usage.model_fields)}")


def apply_map(rules: Sequence[Rule], record: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``record`` as an inference log. A value that is not there stays absent, a mapped one is moved."""
    used = {rule.path[0] for rule in rules if rule.path}
    found = {name: value for name, value in record.items() if name not in used}
    for rule in rules:
        value = rule.constant if rule.constant is not None else _follow(record, rule.path)
        name, dot, member = rule.field.partition(".")
        if value is None:
            continue
        if not dot:
            found[name] = value
        else:
            inner = found.get(name)
            kept = dict(inner) if isinstance(inner, Mapping) else {}
            found[name] = kept | {member: str(value) if name == "tags" else value}
    return found


def _follow(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value

"""A body of one's own for a webhook: JSON values in which ``${field}`` stands for a field of the notification.

The placeholders are filled in after the JSON is taken apart, so that no text of a log can change the body's form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

import orjson

from inferwatch.schemas.alerts import Notification

FIELDS = tuple(sorted(field.name for field in fields(Notification)))
_DOLLAR = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>[^{}]*)\}|)")
_LABEL = "labels."


def check(template: Any) -> None:
    """Check every placeholder of ``template``.

    Raises:
        ValueError: one is unknown or not closed.
    """
    for text in _texts(template):
        for found in _DOLLAR.finditer(text):
            name = found["name"]
            if found["escaped"] or (name and (name in FIELDS or (name.startswith(_LABEL) and name != _LABEL))):
                continue
            if name is None:
                raise ValueError(
                    f"has a $ that starts no placeholder such as ${{title}}; write $$ for $, got {text!r:.80}"
                )
            close = get_close_matches(name, FIELDS, 1)
            told = f"did you mean {close[0]!r}?" if close else f"it may use {', '.join(FIELDS)} and labels.<name>"
            raise ValueError(f"has no field {name!r}; {told}")


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """Return ``template`` with its placeholders replaced.

    A text that is one placeholder becomes the value as it is, a number or a list too; within a text, a value is written
    out: a text as it stands, nothing for null, anything else as JSON.

    >>> fill({"text": "$$5: ${title}", "n": "${n}"}, {"title": "Toxic", "n": 3})
    {'text': '$5: Toxic', 'n': 3}
    """
    if isinstance(template, dict):
        return {_written(name, values): fill(value, values) for name, value in template.items()}
    if isinstance(template, list | tuple):
        return [fill(value, values) for value in template]
    if not isinstance(template, str):
        return template
    whole = _DOLLAR.fullmatch(template)
    if whole is not None and whole["name"]:
        return _value(whole["name"], values)
    return _written(template, values)


def _written(text: str, values: Mapping[str, Any]) -> str:
    return _DOLLAR.sub(_writer(values), text)


def _writer(values: Mapping[str, Any]) -> Callable[[re.Match[str]], str]:
    def write(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        value = _value(found["name"] or "", values)
        return "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()

    return write


def _value(name: str, values: Mapping[str, Any]) -> Any:
    if name.startswith(_LABEL):
        return values.get("labels", {}).get(name.removeprefix(_LABEL))
    return values.get(name)


def _texts(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for name, value in template.items():
            yield str(name)
            yield from _texts(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from _texts(value)

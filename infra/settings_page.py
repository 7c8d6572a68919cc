"""Every setting with its type, default and meaning, as the Markdown of docs/configuration.md."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from inferwatch.infra.expectations import alternatives, choices_of, is_secret, item_of, model_of
from inferwatch.schemas.receivers import Receiver
from inferwatch.schemas.rules import Condition
from inferwatch.schemas.settings import Settings

INTRODUCTION = """# Configuration

One YAML file: `-c FILE`, or `INFERWATCH_CONFIG`, or `./inferwatch.yaml` where there is one. Everything has a default.
A full example is in [inferwatch.example.yaml](inferwatch.example.yaml). `inferwatch rules check FILE` and
`inferwatch doctor` check a file; every mistake is named at once, with its line.

The environment overrides the file: `INFERWATCH_KAFKA` is `kafka.bootstrap_servers`, `INFERWATCH_STORE` is
`store.dsn`, and `INFERWATCH__SECTION__KEY=value` is `section.key`, the value written as in YAML
(`INFERWATCH__WINDOWS__SIZE=1m`, `INFERWATCH__SEGMENTS__DIMENSIONS='[model, tenant]'`).

A secret `x` may be given as `x_file: path`: the file's content without its final line break. A relative path starts at
the folder of the configuration file. Secrets are never printed.

Durations are written `30s`, `5m`, `1h30m`; a plain number is seconds.
`inferwatch schema settings` prints the JSON Schema for editors, and with `--markdown` this page.
"""


def render() -> str:
    """Return the whole page."""
    return "\n".join((INTRODUCTION, *_sections()))


def _sections() -> Iterator[str]:
    for name, info in Settings.model_fields.items():
        model = model_of(info.annotation, None)
        if name == "receivers":
            yield f"## {name}\n\nA list. Without any, alerts are seen in the dashboard and in SQL only.\n"
            for one in alternatives(Receiver):
                tag = choices_of(one.model_fields["type"].annotation)[0]
                yield from _table(f"type: {tag}", one, level="###")
        elif model is not None:
            yield from _table(name, model)
        elif (item := model_of(item_of(info.annotation), None)) is not None:
            yield from _table(name, item, "A list of:\n\n")


def _table(
    title: str, model: type[BaseModel], before: str = "", level: str = "##", shown: tuple[type[BaseModel], ...] = ()
) -> Iterator[str]:
    yield f"{level} {title}\n\n{before}{inspect.cleandoc(model.__doc__ or '').replace('``', '`')}\n"
    yield "| key | value | default | |\n|---|---|---|---|"
    below: list[tuple[str, type[BaseModel]]] = []
    for name, info in model.model_fields.items():
        if name == "type":
            continue
        inner = model_of(info.annotation, None)
        if inner is not None and inner is not Condition:
            below.append((f"{title}.{name}", inner))
            continue
        key = info.alias or name
        if (item := _mapped(info.annotation)) is not None:
            below.append((f"{title}.{name}.<name>", item))
        elif (item := model_of(item_of(info.annotation), None)) is not None and item not in shown:
            below.append((f"{title}.{name}[]", item))
        yield f"| `{key}` | {_kind(info)} | {_default(info)} | {info.description or ''} |"
    yield ""
    for inner_title, inner in below:
        yield from _table(inner_title, inner, level="###", shown=(*shown, inner))


def _kind(info: FieldInfo) -> str:
    annotation = info.annotation
    if choices := choices_of(annotation):
        return " ".join(f"`{getattr(one, 'value', one)}`" for one in choices)
    if is_secret(annotation):
        return "secret text"
    one = alternatives(annotation)[0]
    if get_origin(one) is tuple:
        if model_of(get_args(one)[0], None) is not None:
            return "list of sections, see below"
        choices = choices_of(get_args(one)[0])
        return f"list of {' '.join(f'`{choice}`' for choice in choices)}" if choices else "list of texts"
    if get_origin(one) is dict:
        if _mapped(annotation) is not None:
            return "mapping of names, see below"
        item = alternatives(item_of(one))[0]
        if choices := choices_of(item):
            return f"mapping to {' '.join(f'`{one}`' for one in choices)}"
        return {str: "mapping of texts", Any: "mapping"}.get(item, "mapping of numbers")
    names = {str: "text", int: "whole number", float: "number", bool: "`true` `false`", timedelta: "duration"}
    if one is Condition:
        return 'comparison, such as `"> 2 %"`'
    return names.get(one, str(one)) + _bounds(info)


def _mapped(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a mapping's values are read as."""
    one = alternatives(annotation)[0]
    return model_of(item_of(one), None) if get_origin(one) is dict else None


def _bounds(info: FieldInfo) -> str:
    found = []
    for part in info.metadata:
        for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
            value = getattr(part, name, None)
            if value is not None and value != timedelta(0):
                found.append(f"{sign} {_duration(value) if isinstance(value, timedelta) else value}")
    return f" ({', '.join(found)})" if found else ""


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    return _shown(info.get_default(call_default_factory=True, validated_data={}))


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, timedelta):
        return f"`{_duration(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    if value is None or value in ("", {}):
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _duration(value: timedelta) -> str:
    milliseconds = round(value / timedelta(milliseconds=1))
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0"

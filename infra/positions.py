"""YAML whose values remember their line, so that an error can point at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Place = tuple[str | int, ...]
"""Keys and list positions that lead to a value: ``("rules", 0, "when")``."""


@dataclass
class Document:
    """One parsed file. ``lines`` maps every place to its line, counted from 1; ``faults`` to (place, line, text)."""

    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    faults: list[tuple[Place, int, str]] = field(default_factory=list)


def parse(text: str) -> Document:
    """Parse one YAML document of plain values. What is wrong with it is collected in ``faults``, not raised."""
    document = Document()
    loader = yaml.SafeLoader("")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None:
            document.data = _value(loader, node, (), document, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = ", ".join(filter(None, (error.context, error.problem)))
        document.faults.append(((), line, f"is not YAML: {what}"))
    except yaml.YAMLError as error:
        document.faults.append(((), 1, f"is not YAML: {error}"))
    finally:
        loader.dispose()
    return document


def _value(loader: yaml.SafeLoader, node: yaml.Node, place: Place, document: Document, above: tuple[int, ...]) -> Any:
    document.lines.setdefault(place, node.start_mark.line + 1)
    if id(node) in above:
        document.faults.append((place, document.lines[place], "refers to itself"))
        return None
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*place, i), document, above) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, place, document, above)
    try:
        return loader.construct_object(node, deep=True)
    except ValueError as error:
        document.faults.append((place, node.start_mark.line + 1, str(error)))
        return None


def _mapping(
    loader: yaml.SafeLoader, node: yaml.MappingNode, place: Place, document: Document, above: tuple[int, ...]
) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            document.faults.append((place, line, "has a key that is not text"))
            continue
        # As written: `on:` and `1:` are names here, not true and 1.
        key = str(key_node.value)
        inner = (*place, key)
        if key in found:
            document.faults.append((inner, line, f"is given twice, first in line {document.lines[inner]}"))
            continue
        document.lines[inner] = line
        found[key] = _value(loader, value_node, inner, document, above)
    return found

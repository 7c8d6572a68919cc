"""What a settings model expects at a place in the file, read from its annotations."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from inferwatch.infra.positions import Place


def alternatives(annotation: Any) -> list[Any]:
    """Return the alternatives of an annotation, without Annotated, None and Union."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [one for part in get_args(annotation) if part is not NoneType for one in alternatives(part)]
    return [annotation]


def model_of(annotation: Any, value: Any) -> type[BaseModel] | None:
    """Return the model that ``value`` is meant for; of several, the one whose ``type`` it names."""
    models = [one for one in alternatives(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    if len(models) > 1:
        tag = value.get("type") if isinstance(value, dict) else None
        models = [one for one in models if tag in get_args(one.model_fields["type"].annotation)]
    return models[0] if models else None


def item_of(annotation: Any) -> Any:
    """Return the item type of a list or mapping, or None."""
    for one in alternatives(annotation):
        if get_origin(one) is tuple:
            return get_args(one)[0]
        if get_origin(one) is dict:
            return get_args(one)[1]
    return None


def expected(annotation: Any, place: Place, data: Any) -> Any:
    """Return the annotation at ``place``, or None where there is no such setting."""
    for part in place:
        model = model_of(annotation, data)
        if model is not None:
            info = next((i for n, i in model.model_fields.items() if part in (n, i.alias)), None)
            annotation = info.annotation if info else None
        else:
            annotation = item_of(annotation)
        if annotation is None:
            return None
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
    return annotation


def sections(annotation: Any, data: Any, place: Place) -> Iterator[tuple[Place, dict[str, Any], type[BaseModel]]]:
    """Yield every mapping that is read as a model."""
    if isinstance(data, list):
        for i, item in enumerate(data):
            yield from sections(item_of(annotation), item, (*place, i))
    elif isinstance(data, dict) and (model := model_of(annotation, data)) is not None:
        yield place, data, model
        for name, info in model.model_fields.items():
            if name in data:
                yield from sections(info.annotation, data[name], (*place, name))
    elif isinstance(data, dict) and (item := item_of(annotation)) is not None:
        for key, value in data.items():
            yield from sections(item, value, (*place, key))


def real_place(loc: tuple[str | int, ...], data: Any) -> Place:
    """Drop what pydantic adds to a location: the tag of a chosen alternative."""
    place: list[str | int] = []
    for part in loc:
        if isinstance(data, dict) and part not in data and part == data.get("type"):
            continue
        place.append(part)
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
    return tuple(place)


def keys_of(annotation: Any) -> list[str]:
    """Return the keys of the section at an annotation, as written in the file."""
    model = model_of(annotation, None)
    return [info.alias or name for name, info in model.model_fields.items()] if model else []


def tags_of(annotation: Any, place: Place, data: Any) -> str:
    """Return the values of ``type`` that the alternatives at ``place`` go by."""
    found = alternatives(expected(annotation, place, data))
    return ", ".join(str(get_args(one.model_fields["type"].annotation)[0]) for one in found)


def choices_of(annotation: Any) -> list[Any]:
    """Return the values a Literal or an enumeration allows."""
    found: list[Any] = []
    for one in alternatives(annotation):
        if get_origin(one) is Literal:
            found += get_args(one)
        elif isinstance(one, type) and issubclass(one, Enum):
            found += list(one)
    return found


def is_section(annotation: Any) -> bool:
    """Whether the setting is a mapping with keys of its own, which may hold secrets."""
    return any(isinstance(one, type) and issubclass(one, BaseModel) for one in alternatives(annotation))


def is_secret(annotation: Any) -> bool:
    """Whether the setting is a secret, whose value is never shown."""
    return SecretStr in alternatives(annotation)


def is_text(annotation: Any) -> bool:
    """Whether the setting is text, so that an environment variable is taken as it stands."""
    return annotation is not None and bool(
        {str, SecretStr} & {one for one in alternatives(annotation) if isinstance(one, type)}
    )

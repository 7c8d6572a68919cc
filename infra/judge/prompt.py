"""What a judge is asked: versioned files with the question, in a frame that keeps the judged texts apart."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inferwatch.detectors.base import Item
from inferwatch.detectors.configured import no
from inferwatch.schemas.errors import Misconfigured

Part = Literal["input", "output", "contexts", "system"]
_FOLDER = files("inferwatch.infra.judge.prompts")
_FRAME = "frame.md"


class Prompt(BaseModel):
    """One question and what it is asked about.

    Attributes:
        reads: fields that must have text; a row without abstains.
        also: fields that are shown where they have text.
        judged: the field that quotes are taken from.
        question: what is asked, with its scale from 0, best, to 10, worst.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    version: int = Field(ge=1)
    reads: tuple[Part, ...] = Field(min_length=1)
    also: tuple[Part, ...] = ()
    judged: Literal["input", "output"]
    question: str = Field(min_length=20)

    @model_validator(mode="after")
    def _judges_what_it_reads(self) -> Prompt:
        if self.judged not in self.reads:
            raise ValueError(f"judged must be one of reads {list(self.reads)}, got {self.judged!r}")
        if set(self.reads) & set(self.also):
            raise ValueError("also names a field of reads")
        return self

    @cached_property
    def system(self) -> str:
        """The system message: the same for every row, so that a server may keep it."""
        frame = Template((_FOLDER / _FRAME).read_text("utf-8"))
        return frame.substitute(question=self.question.strip(), judged=self.judged)

    @cached_property
    def revision(self) -> str:
        """Name, version and 8 hex digits of the SHA-256 of everything that is asked."""
        shown = json.dumps([self.system, self.reads, self.also, self.judged])
        return f"{self.name}.v{self.version}-{hashlib.sha256(shown.encode()).hexdigest()[:8]}"

    def record(self, item: Item) -> tuple[dict[str, Any], str]:
        """Return the texts of ``item`` that are shown to the judge; without one of ``reads``, a reason to abstain."""
        shown: dict[str, Any] = {}
        for field in (*self.reads, *self.also):
            value = getattr(item, field)
            if isinstance(value, tuple):
                value = [_plain(text) for text in value if text.strip()]
            elif value.strip():
                value = _plain(value)
            else:
                value = ""
            if value:
                shown[field] = value
            elif field in self.reads:
                return {}, no(field)
        return shown, ""


def load_prompt(named: str, place: str) -> Prompt:
    """Return a prompt that is shipped, or read one from a YAML file of the same form.

    Raises:
        Misconfigured: there is no such prompt, or it is not of that form.
    """
    shipped = sorted(one.name.removesuffix(".yaml") for one in _FOLDER.iterdir() if one.name.endswith(".yaml"))
    path = Path(named).expanduser()
    try:
        text = (_FOLDER / f"{named}.yaml").read_text("utf-8") if named in shipped else path.read_text("utf-8")
        return Prompt.model_validate(yaml.safe_load(text))
    except OSError as error:
        raise Misconfigured(
            f"{place}.prompt: must be {', '.join(shipped)} or a file, {path} cannot be read: {error.strerror}"
        ) from error
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{place}.prompt: {path} is not a prompt (docs/models.md): {error}") from error


def user_message(record: dict[str, Any], boundary: str) -> str:
    """Return the record as JSON between two lines of ``boundary``, which nothing in it can end."""
    return f"{boundary}\n{json.dumps(record, ensure_ascii=False)}\n{boundary}"


def _plain(text: str) -> str:
    """Replace lone surrogates, which cannot be sent; every character keeps its place."""
    return text.encode("utf-8", "replace").decode()

"""Settings of a detector made of somebody else's model: a cross-encoder or a text classifier on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Unit = Annotated[float, Field(ge=0, le=1)]
DetectorName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
"""Of a detector that the configuration makes: what its scores, budget and rules are called by."""
Readable = Literal["input", "output", "contexts"]


class HubModelSettings(BaseModel):
    """A model as a detector: sentence-transformers CrossEncoder or transformers text classifier. Never downloaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cross-encoder", "classifier"] = Field(
        description="cross-encoder: reads a pair of texts; classifier: reads one."
    )
    path: str | None = Field(default=None, description="The model's folder; or `repo` and `revision`.")
    repo: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$",
        description="Name on the Hugging Face hub. It must be in the hub's cache on this machine.",
    )
    revision: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{40}$", description="Commit of `repo`: branches and tags can move."
    )
    cache_dir: str | None = Field(
        default=None, description="The hub's cache; default: where HF_HUB_CACHE or HF_HOME has it."
    )
    reads: tuple[Readable, ...] = Field(
        default=(),
        description="classifier: each of these gets a score `<name>.<field>`, default [output]; cross-encoder: first "
        "and second text of the pair, the second is judged, default [contexts, output].",
    )
    labels: dict[str, Unit] = Field(
        default_factory=dict,
        description="How bad each of the model's labels is; one not named is 0. Score: the sum of probability x "
        "badness, or the largest product where labels do not exclude each other.",
    )
    high_is: Literal["worse", "better"] | None = Field(
        default=None, description="Instead of labels, of a model that says one number, such as relevance."
    )
    activation: Literal["auto", "sigmoid", "softmax", "none"] = Field(
        default="auto",
        description="Makes probabilities of what the model says. auto: sigmoid for one number or several labels at "
        "once, else softmax; none: they are.",
    )
    by: Literal["text", "sentence"] = Field(
        default="text",
        description="What is judged at once: as much as the model reads, or a sentence. The worst counts.",
    )
    threshold: Unit = Field(default=0.5, description="Default of `detectors.thresholds`.")
    window_tokens: int | None = Field(
        default=None, ge=16, description="Most tokens the model reads at once; null: what its files say, 512 at most."
    )
    most_readings: int = Field(
        default=512, ge=1, description="Most model runs for a row. One that needs more abstains: `too long`."
    )
    batch_size: int = Field(default=16, ge=1, description="Readings computed together.")

    @property
    def fields(self) -> tuple[Readable, ...]:
        """``reads``, with its default."""
        if self.reads:
            return self.reads
        return ("contexts", "output") if self.kind == "cross-encoder" else ("output",)

    def emits(self, name: str) -> Mapping[str, float]:
        """Return score -> threshold of the detector ``name``."""
        if self.kind == "cross-encoder":
            return {name: self.threshold}
        return {f"{name}.{field}": self.threshold for field in self.fields}

    @model_validator(mode="after")
    def _whole(self) -> HubModelSettings:
        if (self.path is None) == (self.repo is None):
            raise ValueError("needs either path or repo")
        if self.repo is not None and self.revision is None:
            raise ValueError("repo needs a revision, the commit's 40 hex digits, so that the model cannot change")
        if self.path is not None and (self.revision or self.cache_dir):
            raise ValueError("path is a folder: revision and cache_dir belong to repo")
        if len(set(self.fields)) != len(self.fields):
            raise ValueError(f"reads names a field twice, got {list(self.reads)}")
        if self.kind == "cross-encoder":
            if len(self.fields) != 2 or self.fields[1] == "contexts":
                raise ValueError(
                    f"reads must be two fields for a cross-encoder, the second input or output, got {list(self.reads)}"
                )
        elif "contexts" in self.fields:
            raise ValueError(f"reads must be input, output or both for a classifier, got {list(self.reads)}")
        if bool(self.labels) == bool(self.high_is):
            raise ValueError("needs either labels or, for a model that says one number, high_is")
        if self.labels and max(self.labels.values()) == 0:
            raise ValueError("labels must name one that is bad: with every badness 0 no score could be but 0")
        return self

"""What a judge answers, checked: an answer that is not exactly of this form counts as none."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inferwatch.schemas.scores import Evidence

WORST = 10
_MOST_QUOTE = 300
_MOST_REASON = 200


class Verdict(BaseModel):
    """An answer. ``check`` must be the boundary of the question: one that the judged text dictates cannot know it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    check: str
    score: int = Field(ge=0, le=WORST)
    quote: str = Field(max_length=4000)
    reason: str = Field(max_length=4000)

    @property
    def value(self) -> float:
        """The score in [0, 1], higher is worse."""
        return self.score / WORST

    def evidence(self, field: str, text: str) -> tuple[Evidence, ...]:
        """Return the quote with its place in ``text``; nothing where the score is 0 or the quote is not in the text."""
        quote = self.quote.strip()[:_MOST_QUOTE].strip()
        start = text.find(quote) if quote and self.score else -1
        if start < 0:
            return ()
        end, reason = start + len(quote), " ".join(self.reason.split())[:_MOST_REASON]
        return (Evidence(field=field, text=quote, score=self.value, start=start, end=end, reason=reason),)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "check": {"type": "string"},
        "score": {"type": "integer", "enum": list(range(WORST + 1))},
        "quote": {"type": "string"},
        "reason": {"type": "string"},
    },
    "required": ["check", "score", "quote", "reason"],
    "additionalProperties": False,
}
"""JSON Schema of an answer, within what servers accept as strict."""


def read_verdict(answer: str, boundary: str) -> Verdict | None:
    """Return the verdict in ``answer``, or None where it is not one to the question with this ``boundary``."""
    try:
        verdict = Verdict.model_validate_json(answer.strip())
    except ValidationError:
        return None
    return verdict if verdict.check == boundary else None

"""Gives every record of a batch to whoever reads its topic."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from inferwatch.streams.feedback import FeedbackIntake, Remarks
from inferwatch.streams.pipeline import Pipeline, Prepared
from inferwatch.streams.ports import DeadLetter, RawRecord


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of a batch of records of both topics; None where it had none of one."""

    inferences: Prepared | None
    feedback: Remarks | None


class Intake:
    """A ``kafka.Handler`` for inferences and feedback: the records of one topic keep their order.

    Args:
        pipeline: reads every other topic.
        feedback: reads ``feedback_topics``.
        feedback_topics: where feedback comes from.
    """

    def __init__(self, pipeline: Pipeline, feedback: FeedbackIntake, feedback_topics: Container[str]) -> None:
        self._pipeline = pipeline
        self._feedback = feedback
        self._topics = feedback_topics

    def prepare(self, records: Sequence[RawRecord]) -> Batch:
        """Read and score ``records``; see ``Pipeline.prepare``."""
        feedback = [record for record in records if record.topic in self._topics]
        inferences = [record for record in records if record.topic not in self._topics] if feedback else records
        return Batch(
            self._pipeline.prepare(inferences) if inferences else None,
            self._feedback.prepare(feedback) if feedback else None,
        )

    def commit(self, prepared: Batch) -> tuple[DeadLetter, ...]:
        """Store a prepared batch and return its dead letters; see ``Pipeline.commit``."""
        letters: tuple[DeadLetter, ...] = ()
        if prepared.inferences is not None:
            letters += self._pipeline.commit(prepared.inferences)
        if prepared.feedback is not None:
            letters += self._feedback.commit(prepared.feedback)
        return letters

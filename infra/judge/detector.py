"""A language model behind an OpenAI-compatible API as a detector: asked about each row, within its limits."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import random
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any, NamedTuple

import numpy as np

from inferwatch.detectors.base import Batch, Item, Scores
from inferwatch.detectors.configured import ConfiguredDetector
from inferwatch.infra.judge.answers import Answers
from inferwatch.infra.judge.chat import Chat, Failure
from inferwatch.infra.judge.limits import CallBudget, Rest
from inferwatch.infra.judge.prompt import load_prompt, user_message
from inferwatch.infra.judge.verdict import Verdict, read_verdict
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.judge import JudgeSettings

logger = logging.getLogger(__name__)

BUDGET, ANSWER, LATE = "judge budget", "judge answer", "judge late"
UNAVAILABLE, REFUSED, TOO_LONG = "judge unavailable", "judge refused", "too long"
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0


class Question(NamedTuple):
    """What one row asks: its texts, and the key that the same question has in every process."""

    key: str
    record: dict[str, Any]


class Judge(ConfiguredDetector):
    """Asks a language model for a score from 0 to 10 of each row, and for the words that decided it.

    Whatever the judge does, rows only abstain: ``judge budget`` (its calls or tokens are used up), ``judge answer``
    (what it said is not a verdict), ``judge refused`` (it takes this row's request amiss), ``judge unavailable`` (it is
    down, or wants a pause), ``judge late`` (the batch has waited long enough), ``too long``. Answers are remembered;
    failures are not.

    The judged texts are JSON between two boundaries that their author cannot guess, and the answer must repeat the
    boundary. So a text can neither end its place nor dictate an answer; that it sways the model cannot be ruled out.

    Args:
        name: what the detector and its score are called.
        settings: the API, the prompt and the limits.
        clock: for the limits.
        pause: waits so many seconds between two attempts.

    Raises:
        Misconfigured: the address or the prompt will not do. Nothing is sent yet.
    """

    def __init__(
        self, name: str, settings: JudgeSettings, clock: Clock, *, pause: Callable[[float], None] = sleep
    ) -> None:
        place = f"detectors.judges.{name}"
        self._settings = settings
        self._prompt = load_prompt(settings.prompt, place)
        self._chat = Chat(settings, place, clock)
        self._clock = clock
        self._pause = pause
        self._budget = CallBudget(settings, clock)
        self._rest = Rest(clock)
        self._answers = Answers(settings.cache_rows)
        self._secret = secrets.token_bytes(32)
        self._threads = ThreadPoolExecutor(settings.concurrency, f"judge-{name}")
        # What the same texts would be answered otherwise under; the sampling parameters are among it.
        decides = hashlib.sha256(self._chat.body(self._prompt.system, "")).hexdigest()[:8]
        super().__init__(
            name=name,
            version=f"{self._prompt.revision}/{settings.model}-{decides}",
            reads=(*self._prompt.reads, *self._prompt.also),
            emits=settings.emits(name),
        )

    def score(self, batch: Batch) -> tuple[Scores, ...]:
        until = self._clock.monotonic() + self._settings.patience.total_seconds()
        asked = [self._question(item) for item in batch.items]
        distinct = {one.key: one for one in asked if isinstance(one, Question)}
        said = dict(
            zip(distinct, self._threads.map(lambda one: self._answer(one, until), distinct.values()), strict=True)
        )
        found = [said[one.key] if isinstance(one, Question) else one for one in asked]
        values = np.array([one.value if isinstance(one, Verdict) else np.nan for one in found], np.float32)
        reasons = tuple("" if isinstance(one, Verdict) else one for one in found)
        field = self._prompt.judged
        evidence = tuple(
            one.evidence(field, getattr(item, field)) if isinstance(one, Verdict) else ()
            for one, item in zip(found, batch.items, strict=True)
        )
        return (Scores(self.name, values, reasons, evidence),)

    def _question(self, item: Item) -> Question | str:
        record, reason = self._prompt.record(item)
        if reason:
            return reason
        shown = json.dumps(record, ensure_ascii=False)
        if len(shown) > self._settings.most_chars:
            return TOO_LONG
        return Question(hashlib.sha256(f"{self.version}\0{shown}".encode()).hexdigest(), record)

    def _answer(self, question: Question, until: float) -> Verdict | str:
        """Return the verdict, or why there is none. Never raises."""
        known = self._answers.get(question.key)
        if known is not None:
            return known
        boundary = hmac.new(self._secret, question.key.encode(), hashlib.sha256).hexdigest()[:32]
        body = self._chat.body(self._prompt.system, user_message(question.record, boundary))
        failure = Failure("not asked", retryable=True)
        for attempt in range(self._settings.attempts):
            if attempt:
                pause = max(failure.retry_after or 0.0, _backoff(attempt))
                if self._clock.monotonic() + pause >= until:
                    break
                self._pause(pause)
            if self._clock.monotonic() >= until:
                return LATE
            if self._rest.resting:
                return UNAVAILABLE
            if not self._budget.allow():
                return BUDGET
            reply = self._chat.ask(body, until)
            if not isinstance(reply, Failure):
                return self._read(question, reply.text, reply.tokens, boundary)
            failure = reply
            if not failure.retryable:
                break
        rest = self._rest.failed(at_once=not (failure.retryable or failure.of_row), seconds=failure.retry_after)
        if rest:
            logger.warning("judge %s: %s; it is left alone for %.0f s", self.name, failure.what, rest)
        if failure.of_row:
            return REFUSED
        return LATE if self._clock.monotonic() >= until else UNAVAILABLE

    def _read(self, question: Question, text: str, tokens: int, boundary: str) -> Verdict | str:
        self._rest.answered()
        self._budget.spent(tokens)
        verdict = read_verdict(text, boundary)
        if verdict is None:
            return ANSWER
        self._answers.put(question.key, verdict)
        return verdict


def _backoff(attempt: int) -> float:
    """Return seconds before attempt 1, 2, …: doubling, and spread so that many callers do not come back at once."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311

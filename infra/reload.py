"""Rules put into force while the service runs: the configuration file is looked at again when it changes.

Only what decides and routes alerts may change so. A file that is wrong, or that also changes something else, changes
nothing: the rules stay as they are, and the log, the metrics and ``/health`` say so until the file is right.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from inferwatch.infra.configuration import RULES, load
from inferwatch.schemas.clock import Clock
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.settings import Settings

logger = logging.getLogger(__name__)

ALL_IN_FORCE = "ok"

Signature = tuple[int, ...]


class RulesFile:
    """The configuration file of a running service, and which of its rules are in force.

    ``look`` is to be called between windows, from one thread; ``ask`` from any, or from a signal handler.

    Args:
        path: the file; None: there is none, and nothing ever changes.
        environ: the environment it is read with.
        loaded: the settings the service was started with, as read from the file.
        clock: for when something was refused.
    """

    def __init__(self, path: Path | None, environ: Mapping[str, str], loaded: Settings, clock: Clock) -> None:
        self._path = path
        self._environ = dict(environ)
        self._loaded = loaded
        self._clock = clock
        self.attempts: Counter[str] = Counter(taken=0, refused=0)
        self._use: Callable[[Settings], None] = lambda settings: None
        self._taken = self._seen = _signature(path)
        self._asked = False
        self._refusal = ""

    def feed(self, live: Settings, use: Callable[[Settings], None]) -> None:
        """Hand ``live``, the settings that ``use`` has now, with other rules to ``use`` whenever those change.

        It may raise Misconfigured, if it changes nothing then: the file is refused.
        """

        def put(found: Settings) -> None:
            use(live.model_copy(update={name: value for name, value in found if name in RULES}))

        self._use = put

    def ask(self) -> None:
        """Read the file at the next look, changed or not."""
        self._asked = True

    @property
    def current(self) -> bool:
        """Whether the rules of the file, as it was last seen, are in force."""
        return not self._refusal

    def report(self) -> str:
        """Return ``ok``, or that the file was refused, since when and for what kind of reason; no text of the file."""
        return self._refusal or ALL_IN_FORCE

    def look(self) -> None:
        """Put the file's rules into force if it has changed and is right. Never raises for what is in the file."""
        if self._path is None:
            return
        now = _signature(self._path)
        # Who writes a file may not have finished: it is read once it has stayed the same for a look.
        settled, self._seen = now == self._seen, now
        if self._asked or (settled and now != self._taken):
            self._asked, self._taken = False, now
            self._read(self._path)

    def _read(self, path: Path) -> None:
        try:
            found = load(path, self._environ)
        except Misconfigured as error:
            faults = str(error).splitlines()
            self._refuse(f"{len(faults)} fault{'s' * (len(faults) > 1)}, which the log names", faults)
            return
        others = [name for name in changed(self._loaded, found) if name.partition("[")[0] not in RULES]
        if others:
            named = ", ".join(others)
            self._refuse(f"needs a restart for {named}", [f"{path}: a change of {named} needs a restart"])
            return
        told = _difference(self._loaded, found)
        try:
            self._use(found)
        except Misconfigured as error:
            self._refuse("1 fault, which the log names", [f"{path}: {error}"])
            return
        self._loaded, self._refusal = found, ""
        self.attempts["taken"] += 1
        logger.warning("%s: %d rules in force (%s)", path, len(found.active_rules), told)

    def _refuse(self, why: str, lines: Sequence[str]) -> None:
        self._refusal = f"the file was refused at {self._clock.now():%Y-%m-%dT%H:%M:%SZ}, the old rules stay: {why}"
        self.attempts["refused"] += 1
        for line in lines:
            logger.error("%s", line)
        logger.error("the configuration file is refused, the old rules stay in force")


def changed(old: Settings, new: Settings) -> list[str]:
    """Return the names of the settings that differ, dotted, in the order of the model; lists as a whole.

    >>> changed(Settings(), Settings.model_validate({"web": {"port": 1, "host": "localhost"}}))
    ['web.host', 'web.port']
    """
    return list(_changed(old, new, ""))


def _changed(old: Any, new: Any, place: str) -> Iterator[str]:
    if old == new:
        return
    if not (isinstance(old, BaseModel) and isinstance(new, BaseModel) and type(old) is type(new)):
        yield place
        return
    for name in type(old).model_fields:
        yield from _changed(getattr(old, name), getattr(new, name), f"{place}.{name}" if place else name)


def _difference(old: Settings, new: Settings) -> str:
    """Return which rules are new, gone and different."""
    before, after = ({rule.name: rule for rule in each.active_rules} for each in (old, new))
    parts = {
        "new": [name for name in after if name not in before],
        "changed": [name for name in after if name in before and after[name] != before[name]],
        "gone": [name for name in before if name not in after],
    }
    said = "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)
    return said or "no rule is another"


def _signature(path: Path | None) -> Signature:
    """Return what changes with the file's content; follows links, so that a mounted ConfigMap is seen to change."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev) if found else ()

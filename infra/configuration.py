"""One YAML file and the environment -> ``Settings``, with every mistake named at once, by line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from inferwatch.infra import catalogue, reach
from inferwatch.infra.expectations import (
    choices_of,
    expected,
    is_secret,
    is_section,
    is_text,
    keys_of,
    real_place,
    sections,
    tags_of,
)
from inferwatch.infra.positions import Place, parse
from inferwatch.schemas.columns import NUMBERS, SCORES, VALUES, is_mix
from inferwatch.schemas.errors import Misconfigured
from inferwatch.schemas.hub import HubModelSettings
from inferwatch.schemas.judge import JudgeSettings
from inferwatch.schemas.rules import RECURRENCE, Rule
from inferwatch.schemas.settings import DetectorSettings, DriftSettings, Section, Settings, WindowSettings

SHORT = {"INFERWATCH_KAFKA": ("kafka", "bootstrap_servers"), "INFERWATCH_STORE": ("store", "dsn")}
PREFIX = "INFERWATCH__"
MASKED = "**********"
RULES = ("rules", "event_rules", "routing")
"""What decides and routes alerts: may be in a file of its own, and changes while the service runs."""


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings of ``path`` (none: only defaults), overridden by the environment.

    ``INFERWATCH_KAFKA`` is ``kafka.bootstrap_servers``, ``INFERWATCH_STORE`` is ``store.dsn`` and
    ``INFERWATCH__SECTION__KEY`` is ``section.key``, written as in YAML. A secret ``x`` may be given as
    ``x_file``, the path of a file that holds it.

    Raises:
        Misconfigured: one line for each mistake, ``FILE:LINE: setting: what is wrong``.
    """
    return check(path, environ)[0]


def check(
    path: Path | None, environ: Mapping[str, str], *, base: Path | None = None, secrets: bool = True
) -> tuple[Settings, list[str]]:
    """As ``load``; also return warnings, in the same form: what is allowed but hardly meant.

    Args:
        path: the file.
        environ: the environment.
        base: if ``path`` holds nothing but rules, the file that everything else is taken from.
        secrets: read the files that hold secrets; without it, a secret that has one is a row of stars.
    """
    reading = _Reading(str(path) if path else "")
    if path is not None:
        reading.read_file(path)
        if base is not None and set(reading.data) <= set(RULES):
            reading.put_over(base)
            path = base
    if not reading.faults:
        reading.read_environment(environ)
        reading.read_secret_files(path.parent if path else Path(), read=secrets)
    settings = reading.validate()
    if settings is None:
        raise Misconfigured("\n".join(reading.messages()))
    return settings, [reading.at(place, text) for place, text in _warnings(settings)]


@dataclass
class _Reading:
    """The tree as it is put together, where each part came from, and what is wrong with it."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Place, str] = field(default_factory=dict)
    faults: list[tuple[Place, str]] = field(default_factory=list)

    def at(self, place: Place, text: str) -> str:
        return f"{self._origin(place)}: {_dotted(place)}{': ' if place else ''}{text}"

    def messages(self) -> list[str]:
        """Return every fault once, in the order of the file."""
        lines = dict.fromkeys(self.at(place, text) for place, text in self.faults)
        return sorted(lines, key=lambda line: int(found[1]) if (found := re.match(r"[^:]+:(\d+): ", line)) else 0)

    def _origin(self, place: Place) -> str:
        while place not in self.origins and place:
            place = place[:-1]
        return self.origins.get(place, self.file or "configuration")

    def read_file(self, path: Path) -> None:
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            raise Misconfigured(f"cannot read the configuration file {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise Misconfigured(f"{path}: must be UTF-8 text, byte {error.start} is not") from error
        document = parse(text)
        self.origins = {place: f"{path}:{line}" for place, line in document.lines.items()}
        for place, line, what in document.faults:
            self.origins[place] = f"{path}:{line}"
            self.faults.append((place, what))
        if isinstance(document.data, dict):
            self.data = document.data
        elif document.data is not None:
            self.faults.append(((), f"must be a mapping of sections, got {_kind(document.data)}"))

    def put_over(self, base: Path) -> None:
        """Take what is not in this file from ``base``; of its rules, nothing."""
        below = _Reading(str(base))
        below.read_file(base)
        below.data = {name: value for name, value in below.data.items() if name not in RULES}
        self.data = below.data | self.data
        self.origins = {place: at for place, at in below.origins.items() if place[:1] and place[0] not in RULES} | (
            self.origins
        )
        self.faults += below.faults

    def read_environment(self, environ: Mapping[str, str]) -> None:
        for name, text in sorted(environ.items()):
            if name in SHORT:
                self._override(SHORT[name], text, name)
            elif name.startswith(PREFIX):
                place = tuple(name.removeprefix(PREFIX).lower().split("__"))
                self._override(place, self._typed(place, text, name), name)

    def _typed(self, place: Place, text: str, name: str) -> Any:
        if is_text(expected(Settings, place, self.data)) or str(place[-1]).endswith("_file"):
            return text
        document = parse(text)
        for _, _, what in document.faults:
            self.origins[place] = name
            self.faults.append((place, what))
        return document.data

    def _override(self, place: Place, value: Any, name: str) -> None:
        into = self.data
        for key in place[:-1]:
            below = into.get(str(key))
            if below is None:
                below = into[str(key)] = {}
            if not isinstance(below, dict):
                self.origins[place] = name
                self.faults.append((place, f"cannot be set: {key!r} is not a section with keys"))
                return
            into = below
        into[str(place[-1])] = value
        for known in [known for known in self.origins if known[: len(place)] == place]:
            del self.origins[known]
        self.origins[place] = name

    def read_secret_files(self, folder: Path, *, read: bool = True) -> None:
        """Replace every ``x_file`` of a secret ``x`` by the file's content; relative paths start at ``folder``."""
        for place, section, model in list(sections(Settings, self.data, ())):
            for name, info in model.model_fields.items():
                key = f"{name}_file"
                if key not in section or not is_secret(info.annotation):
                    continue
                path = section.pop(key)
                self.origins[(*place, name)] = self._origin((*place, key))
                if name in section:
                    self.faults.append(((*place, key), f"is given besides {name}; give one of the two"))
                    continue
                section[name] = MASKED
                if not read:
                    continue
                try:
                    section[name] = (folder / Path(str(path)).expanduser()).read_text("utf-8").rstrip("\r\n")
                except OSError as error:
                    self.faults.append(((*place, key), f"cannot be read: {path!s}: {error.strerror}"))
                except UnicodeDecodeError:
                    self.faults.append(((*place, key), f"must be a file of UTF-8 text, {path!s} is not"))

    def validate(self) -> Settings | None:
        settings = None
        try:
            settings = Settings.model_validate(self.data)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True)
            known = {place for place, _ in self.faults}
            found = [self._fault(one) for one in details if one["loc"]]
            self.faults += [(place, text) for place, text in found if place not in known]
            self._check_names()
            if not self.faults:
                self.faults += [self._fault(one) for one in details]
        else:
            self._check_names()
        return None if self.faults else settings

    def _fault(self, error: ErrorDetails) -> tuple[Place, str]:
        place = real_place(error["loc"], self.data)
        message, value = error["msg"], error["input"]
        match error["type"]:
            case "missing":
                return place, "is required"
            case "extra_forbidden":
                known = keys_of(expected(Settings, place[:-1], self.data))
                return place, f"is not a setting{_meant(str(place[-1]), known)}"
            case "union_tag_not_found":
                return place, f"needs a 'type': {tags_of(Settings, place, self.data)}"
            case "union_tag_invalid":
                tag = str(error.get("ctx", {}).get("tag", ""))
                known = tags_of(Settings, place, self.data).split(", ")
                return (*place, "type"), f"must be one of {', '.join(known)}, got {tag!r}{_meant(tag, known)}"
            case "literal_error" | "enum":
                wanted = expected(Settings, place, self.data)
                allowed = [str(getattr(one, "value", one)) for one in choices_of(wanted)]
                return place, f"must be one of {', '.join(allowed)}, got {value!r}{_meant(str(value), allowed)}"
            case "value_error":
                message = message.removeprefix("Value error, ")
                first, _, rest = message.partition(" ")
                if isinstance(value, dict) and first in value:
                    return (*place, first), rest
                return place, message if "got" in message or isinstance(
                    value, dict
                ) else f"{message}, {self._got(place, value)}"
            case "model_type" | "model_attributes_type" | "dict_type":
                return place, f"must be a mapping with keys, got {_kind(value)}"
            case "tuple_type":
                return place, f"must be a list, got {_kind(value)}"
            case "string_pattern_mismatch":
                pattern = error.get("ctx", {}).get("pattern", "")
                return place, f"must match {pattern}, {self._got(place, value)}"
            case "int_parsing" | "int_type" | "int_from_float":
                return place, f"must be a whole number, {self._got(place, value)}"
            case "string_type":
                hint = "; put it in quotes" if isinstance(value, int | float) else ""
                return place, f"must be text, {self._got(place, value)}{hint}"
        message = message.removeprefix("Input should be ").removeprefix("a valid ")
        return place, f"must be {message[:1].lower()}{message[1:]}, {self._got(place, value)}"

    def _got(self, place: Place, value: Any) -> str:
        if isinstance(value, dict | list) or value is None:
            return f"got {_kind(value)}"
        wanted = expected(Settings, place, self.data)
        if wanted is None or is_secret(wanted) or is_section(wanted):
            return f"got {MASKED}"
        return f"got {value!r:.80}"

    def _check_names(self) -> None:
        """Names that must be known elsewhere: detectors, scores, metrics, receivers, segment dimensions."""
        detectors, rules = self.data.get("detectors"), self.data.get("rules")
        enabled = _texts(detectors, "enabled", DetectorSettings().enabled)
        own = _described(detectors)
        installed = catalogue.detector_names()
        for kind, name in own:
            if name in installed:
                text = f"must be another name: an installed detector is called {name!r}"
                self.faults.append((("detectors", kind, name), text))
        known_detectors = [*installed, *(name for _, name in own)]
        for i, name in enumerate(enabled):
            if name not in known_detectors:
                known = ", ".join(known_detectors)
                kinds = "the installed detectors" if not own else "the installed or described detectors"
                text = f"must be one of {kinds} {known}, got {name!r}{_meant(name, known_detectors)}"
                self.faults.append((("detectors", "enabled", i), text))
        by_score = {
            section: detectors.get(section) if isinstance(detectors, dict) else None
            for section in ("thresholds", "calibration")
        }
        budgets = detectors.get("budgets") if isinstance(detectors, dict) else None
        for kind in ("rules", "receivers"):
            self._check_unique(kind)
        if not isinstance(rules, list):
            rules = []
        drift = self.data.get("drift")
        columns = _texts(drift, "columns", DriftSettings().columns)
        named = rules or any(by_score.values()) or budgets or columns != DriftSettings().columns
        if not named or not set(enabled) <= set(known_detectors) or any(made is None for made in own.values()):
            return
        emitted = {name: made for (_, name), made in own.items() if made is not None and name in enabled}
        try:
            scores = [*catalogue.scores(enabled), *(score for made in emitted.values() for score in made)]
        except ImportError as error:
            self.faults.append((("detectors", "enabled"), f"names a detector that cannot be imported: {error}"))
            return
        for section, values in by_score.items():
            for name in values if isinstance(values, dict) else ():
                if name not in scores:
                    text = f"must be a score of an enabled detector ({', '.join(scores)}){_meant(name, scores)}"
                    self.faults.append((("detectors", section, name), text))
        if isinstance(budgets, dict):
            self._check_budgets(budgets, enabled, emitted)
        allowed = (*NUMBERS, *VALUES, SCORES, *scores)
        for i, name in enumerate(columns):
            if name not in allowed and not is_mix(name):
                text = f"must be one of {', '.join(allowed)}, tags.<name>, got {name!r}{_meant(name, allowed)}"
                self.faults.append((("drift", "columns", i), text))
        fields = _texts(drift, "fields", DriftSettings().fields)
        metrics = catalogue.metrics(scores, fields)
        drifting = catalogue.column_metrics(scores, fields, columns)
        for i, rule in enumerate(rules):
            if isinstance(rule, dict):
                self._check_rule(("rules", i), rule, metrics, drifting)

    def _check_budgets(
        self, budgets: dict[str, Any], enabled: tuple[str, ...], own: Mapping[str, Iterable[str]]
    ) -> None:
        free = [name for name in enabled if name not in budgets]
        guides = [*catalogue.scores(free), *(score for name in free for score in own.get(name, ()))]
        for name, budget in budgets.items():
            place = ("detectors", "budgets", name)
            if name not in enabled:
                text = f"must be an enabled detector ({', '.join(enabled)}){_meant(name, enabled)}"
                self.faults.append((place, text))
            guide = budget.get("guide") if isinstance(budget, dict) else None
            if isinstance(guide, str) and guide not in guides:
                known = ", ".join(guides) or "there is none"
                text = f"must be a score of an enabled detector without a budget ({known}), got {guide!r}"
                self.faults.append(((*place, "guide"), text + _meant(guide, guides)))

    def _check_rule(self, place: Place, rule: dict[str, Any], metrics: list[str], drifting: list[str]) -> None:
        metric = rule.get("metric")
        if isinstance(metric, str) and rule.get("false_alarms") is not None:
            metrics, drifting = (
                [name.removesuffix(RECURRENCE) for name in names if name.endswith(RECURRENCE)]
                for names in (metrics, drifting)
            )
        if isinstance(metric, str) and metric not in metrics and metric not in drifting:
            parts = "drift.<column>.recurrence, .p_value, .q_value, .effect and .psi (docs/scalar-drift.md)"
            columns = [parts] if drifting else []
            text = f"must be a metric of a window, got {metric!r}{_meant(metric, metrics + drifting)}"
            text += f"; known: {', '.join(metrics + columns)}"
            self.faults.append(((*place, "metric"), text))
        else:
            self._check_reach(place, rule)
        named = self.data.get("receivers")
        receivers = [str(one.get("name")) for one in named if isinstance(one, dict)] if isinstance(named, list) else []
        for i, name in enumerate(_texts(rule, "receivers", ())):
            if name not in receivers:
                known = ", ".join(receivers) or "none is declared"
                text = f"must name a receiver, got {name!r}{_meant(name, receivers)}; known: {known}"
                self.faults.append(((*place, "receivers", i), text))
        dimensions = _texts(self.data.get("segments"), "dimensions", Settings().segments.dimensions)
        for i, name in enumerate(_texts(rule, "group_by", ())):
            if name not in dimensions:
                text = (
                    f"must be in segments.dimensions ({', '.join(dimensions)}), got {name!r}{_meant(name, dimensions)}"
                )
                self.faults.append(((*place, "group_by", i), text))

    def _check_reach(self, place: Place, rule: dict[str, Any]) -> None:
        """What the parts of a rule say together; each of them alone has been found right, or is named already."""
        try:
            known = Rule.model_validate(rule)
        except ValidationError:
            return
        drift = _section(DriftSettings, self.data.get("drift"))
        windows = _section(WindowSettings, self.data.get("windows"))
        if isinstance(drift, DriftSettings) and isinstance(windows, WindowSettings):
            self.faults += [((*place, key), text) for key, text in reach.faults(known, drift, windows)]

    def _check_unique(self, kind: str) -> None:
        items = self.data.get(kind)
        seen: dict[str, int] = {}
        for i, item in enumerate(items if isinstance(items, list) else []):
            name = item.get("name") if isinstance(item, dict) else None
            if isinstance(name, str) and seen.setdefault(name, i) != i:
                self.faults.append(((kind, i, "name"), f"must be unique, got {name!r}, as {kind}[{seen[name]}] has"))


def _warnings(settings: Settings) -> Iterator[tuple[Place, str]]:
    if not settings.rules:
        yield ("rules",), "there are none, so nothing will ever alert but a score that goes blind"
    if settings.rules and not settings.receivers:
        yield ("receivers",), "there are none: alerts will be seen in the dashboard and in SQL only"
    for name in settings.detectors.judges:
        if name in settings.detectors.enabled and not settings.privacy.redact:
            yield ("detectors", "judges", name), "privacy.redact is off: texts leave this machine as they are"
    used = {name for rule in settings.rules for name in rule.receivers}
    for i, receiver in enumerate(settings.receivers):
        if settings.rules and all(rule.receivers for rule in settings.rules) and receiver.name not in used:
            yield ("receivers", i), f"no rule names {receiver.name!r}, so it will get nothing"


def _described(detectors: Any) -> dict[tuple[str, str], Mapping[str, float] | None]:
    """Return (kind, name) -> scores of the detectors that the file describes; None for one described wrongly."""
    kinds: dict[str, type[HubModelSettings] | type[JudgeSettings]] = {
        "models": HubModelSettings,
        "judges": JudgeSettings,
    }
    found: dict[tuple[str, str], Mapping[str, float] | None] = {}
    for kind, model in kinds.items():
        given = detectors.get(kind) if isinstance(detectors, dict) else None
        for name, section in given.items() if isinstance(given, dict) else ():
            try:
                found[kind, str(name)] = model.model_validate(section).emits(str(name))
            except ValidationError:
                found[kind, str(name)] = None
    return found


def _section(model: type[Section], given: Any) -> Section | None:
    """Return one section of the file; None where it is wrong, which is said elsewhere."""
    try:
        return model.model_validate({} if given is None else given)
    except ValidationError:
        return None


def _dotted(place: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {
        dict: "a mapping",
        list: "a list",
        NoneType: "nothing",
        str: "text",
        bool: "true or false",
    }
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _meant(name: str, known: Any) -> str:
    near = get_close_matches(name, [str(one) for one in known], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _texts(section: Any, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    found = section.get(key, default) if isinstance(section, dict) else default
    return tuple(item for item in found if isinstance(item, str)) if isinstance(found, list | tuple) else default

"""The one validated configuration tree. Reading files and the environment is ``infra.configuration``'s work."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from inferwatch.schemas.baselines import CANARY, CanarySettings, Dimension, RollingSettings, TimeZone
from inferwatch.schemas.columns import NUMBERS, SCORES
from inferwatch.schemas.drift_fields import DriftField
from inferwatch.schemas.event_rules import EventRule
from inferwatch.schemas.hub import DetectorName, HubModelSettings
from inferwatch.schemas.judge import JudgeSettings
from inferwatch.schemas.receivers import Receiver
from inferwatch.schemas.routing import RoutingSettings
from inferwatch.schemas.rules import BLIND_RULE, Duration, Rule

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""Largest Kafka record taken and sent; topics and brokers we make allow as much."""
MOST_OVERLAPS = 60
"""Most windows that one row may be in: each is computed and stored anew."""

Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Base of every part of the tree: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    """Where the logs come from. Without ``bootstrap_servers``, ``inferwatch up`` and ``demo`` start a local broker."""

    bootstrap_servers: str | None = None
    topic: str = "inferwatch.inferences"
    feedback_topic: str = "inferwatch.feedback"
    dead_letter_topic: str = "inferwatch.dead-letters"
    partitions: Positive = 4
    group_id: str = "inferwatch"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    batch_records: Positive = Field(default=1024, description="Most records scored and inserted together.")
    batch_bytes: Positive = Field(
        default=768 * 1024,
        description="A batch with more bytes of records than this is cut into several of about one size.",
    )
    batch_wait: Duration = Field(default=timedelta(milliseconds=500), description="Longest wait to fill a batch.")
    session_timeout: Duration = timedelta(seconds=45)
    max_poll_interval: Duration = timedelta(minutes=10)


Days = Annotated[int, Field(ge=1, le=20_000)]


class RetentionSettings(Section):
    """Days each table keeps its rows, from their arrival; ClickHouse drops them by TTL, a date that ends in 2106."""

    inferences_days: Days = 90
    embeddings_days: Days = 30
    window_metrics_days: Days = 400
    alerts_days: Days = 400
    dead_letters_days: Days = 30


class StoreSettings(Section):
    """ClickHouse, always: ``clickhouse://user:password@host:8123/db`` or the embedded ``chdb:///folder``."""

    dsn: SecretStr = SecretStr("chdb://.inferwatch/store")
    database: str = Field(default="inferwatch", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    cluster: str | None = Field(
        default=None, description="Name of a ClickHouse cluster: DDL runs ON CLUSTER, replicated."
    )
    answer_timeout: Duration = Field(
        default=timedelta(seconds=150),
        ge=timedelta(seconds=1),
        description="A server that did not answer in this time is asked again; it gives up itself after 4/5 of it.",
    )
    retention: RetentionSettings = RetentionSettings()

    @property
    def embedded(self) -> bool:
        return self.dsn.get_secret_value().startswith("chdb:")


class EncoderSettings(Section):
    """The one sentence encoder. ``model`` is ``bundled`` or a folder; nothing is downloaded at run time."""

    model: str = "bundled"
    backend: Literal["auto", "torch", "onnx-int8", "static"] = Field(
        default="auto",
        description="auto: the one of the drift references, else the faster of torch and a built int8 model.",
    )
    models_dir: str | None = Field(
        default=None, description="Where `inferwatch models build` puts models; default: a folder of the user's cache."
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="torch only; auto: bfloat16 where the CPU computes it natively."
    )
    threads: int = Field(default=0, ge=0, description="Batches encoded at once, one core each; 0: one for each core.")
    batch_size: Positive = Field(default=64, description="torch only: texts of 32 tokens in a batch.")
    max_tokens: int = Field(
        default=16_384, ge=512, le=1_000_000, description="Most tokens read of a text; the rest is cut, and said."
    )
    cache_texts: int = Field(default=50_000, ge=0, description="Distinct texts whose vectors are remembered.")


class BudgetSettings(Section):
    """How much of the traffic a dear detector scores. Rates and means are weighted, so that they speak of all of it."""

    share: float = Field(ge=0.0001, le=1, description="Expected share of the rows that it scores.")
    floor: float | None = Field(
        default=None, ge=0.0001, le=1, description="Least probability of being scored; null: half of `share`."
    )
    guide: str | None = Field(
        default=None, description="A score of a detector without a budget; where it is high, more rows are scored."
    )
    prefer: Literal["risky", "uncertain"] = Field(
        default="risky",
        description="Rows to score more of: those whose guide is high, or those whose guide is near one half.",
    )

    @property
    def lowest(self) -> float:
        return self.share / 2 if self.floor is None else self.floor

    @model_validator(mode="after")
    def _floor_within_share(self) -> BudgetSettings:
        if self.lowest > self.share:
            raise ValueError(f"floor must be at most share ({self.share:g}), got {self.lowest:g}")
        return self


class CalibrationSettings(Section):
    """Makes a score the probability of your own labels; `inferwatch evaluate --calibrate` writes both numbers."""

    slope: float = Field(gt=0, allow_inf_nan=False, description="Times the log odds of the score.")
    shift: float = Field(allow_inf_nan=False, description="Added to them.")


class DetectorSettings(Section):
    """Which detectors run, and from which score on a row counts as a hit in ``<score>.rate``."""

    enabled: tuple[str, ...] = ("toxicity", "hallucination")
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    calibration: dict[str, CalibrationSettings] = Field(
        default_factory=dict, description="By score; one that is not named stays on the detector's own scale."
    )
    budgets: dict[str, BudgetSettings] = Field(
        default_factory=dict, description="By detector; one without a budget scores every row."
    )
    models: dict[DetectorName, HubModelSettings] = Field(
        default_factory=dict, description="Detectors made of other models, by the name to enable them under."
    )
    judges: dict[DetectorName, JudgeSettings] = Field(
        default_factory=dict, description="Detectors that ask a language model, by the name to enable them under."
    )

    @model_validator(mode="after")
    def _judges_have_budgets(self) -> DetectorSettings:
        both = sorted(set(self.models) & set(self.judges))
        if both:
            raise ValueError(f"judges has the name {both[0]!r}, which is also in models")
        for name in self.enabled:
            if name in self.judges and name not in self.budgets:
                raise ValueError(
                    f"budgets must have an entry for the judge {name!r}, such as {{share: 0.01}}: every row it scores "
                    "is a call that costs money and takes texts out of this machine"
                )
        return self


class DriftSettings(Section):
    """Drift of each application's windows against a frozen reference: of texts, and of columns."""

    fields: tuple[DriftField, ...] = Field(
        default=("input", "output"),
        description="`output_given_input`: outputs without what they share with their inputs. It finds another model "
        "behind the same questions sooner, for a third vector a row.",
    )
    window_rows: Positive = Field(
        default=500, description="Hash-determined sample of a window that is tested, one row a conversation."
    )
    min_rows: int = Field(
        default=30, ge=10, description="Fewer rows have no drift number, in a window or in several pooled."
    )
    reference_rows: int = Field(
        default=5000,
        ge=50,
        description="Most vectors of a reference. The first windows are frozen when so many are there, or after a day "
        "when there are 1,000.",
    )
    scales: int = Field(
        default=7,
        ge=1,
        le=10,
        description="Drift over time looks at the last 1, 2, 4, ... windows together, this many steps.",
    )
    auto_reference: bool = Field(default=True, description="Freeze the first windows as reference where there is none.")
    reference: Literal["frozen", "rolling"] = Field(
        default="frozen", description="rolling: rebuilt every day, within the limits of `rolling`."
    )
    rolling: RollingSettings = RollingSettings()
    on_deploy: Literal["compare", "adopt", "off"] = Field(
        default="compare",
        description="When a new value of `deploy_dimensions` takes over: compare freezes what came before it as a "
        "reference; adopt also makes the new behaviour the baseline once `reference_rows` rows of it are there.",
    )
    deploy_dimensions: tuple[Dimension, ...] = Field(
        default=("model", "prompt_version"), description="Columns or tags a new value of which is a deploy."
    )
    canary: CanarySettings | None = Field(
        default=None, description="Compare one value of a dimension with another in the same window; null: none."
    )
    time_zone: TimeZone = Field(default="UTC", description="IANA name: whose hours, days and weeks count.")
    time_zones: dict[str, TimeZone] = Field(
        default_factory=dict, description="By application; one without its own has `time_zone`."
    )
    columns: tuple[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$")], ...] = Field(
        default=(*NUMBERS, SCORES, "model", "prompt_version", "finish_reason"),
        description="Numbers and mixes compared as well: columns, scores (`scores`: all of them), `tags.<name>`.",
    )
    by_segment: bool = Field(
        default=False, description="Compare the columns of each value of `segments.dimensions`, too."
    )

    def zone(self, application: str) -> ZoneInfo:
        """Return the time zone of an application's day."""
        return ZoneInfo(self.time_zones.get(application, self.time_zone))


class WindowSettings(Section):
    """Event-time windows, aligned to the Unix epoch: tumbling, or sliding where ``slide`` is shorter than ``size``."""

    size: Duration = timedelta(minutes=5)
    slide: Duration | None = Field(
        default=None, description="A window starts this often; null: every `size`, so that each row is in one window."
    )
    allowed_lateness: Duration = Field(default=timedelta(seconds=30), description="How long after its end it closes.")
    idle_timeout: Duration = Field(
        default=timedelta(seconds=60),
        description="A partition silent this long, all of which is stored, is not waited for.",
    )
    stall_timeout: Duration = Field(
        default=timedelta(minutes=10),
        description="A partition with records that nobody has stored is waited for this long.",
    )
    revise_for: Duration = Field(
        default=timedelta(hours=24), description="Late rows republish a closed window this long."
    )

    @model_validator(mode="after")
    def _whole(self) -> WindowSettings:
        if self.size < timedelta(seconds=1) or self.size > timedelta(days=1):
            raise ValueError(f"size must be between 1s and 1d, got {self.size}")
        if timedelta(days=1) % self.size:
            raise ValueError(f"size must divide one day evenly, got {self.size}")
        if self.step < timedelta(seconds=1) or self.step > self.size or self.size % self.step:
            raise ValueError(f"slide must be at least 1s and divide size ({self.size}) evenly, got {self.step}")
        if self.size // self.step > MOST_OVERLAPS:
            raise ValueError(f"slide must be at least size/{MOST_OVERLAPS}, got {self.step} of {self.size}")
        return self

    @property
    def step(self) -> timedelta:
        """From the start of one window to the start of the next."""
        return self.slide if self.slide is not None else self.size


class SegmentSettings(Section):
    """Columns (``model``, ``prompt_version``, ``tenant``, ...) or ``tags.<name>`` to compute every metric by."""

    dimensions: tuple[Dimension, ...] = ("model", "prompt_version")
    max_values: int = Field(default=50, ge=1, le=1000, description="Largest values kept; the rest become __other__.")


class PrivacySettings(Section):
    """What of a text may reach the store."""

    redact: bool = True
    store_text: bool = Field(default=True, description="false: scores, vectors and lengths only.")


class LimitSettings(Section):
    """Bounds on one record."""

    max_text_chars: int = Field(default=100_000, ge=1000, description="Longer texts are cut, with a marker.")
    max_future: Duration = Field(default=timedelta(minutes=5), description="Clock skew allowed of a timestamp.")
    duplicate_horizon: Duration = Field(
        default=timedelta(hours=1), description="How far around its event time a record's id is looked for."
    )


class WebSettings(Section):
    """Dashboard, API and SQL endpoint. Without ``password`` it must listen on a loopback address."""

    host: str = "127.0.0.1"
    port: int = Field(default=8123, ge=0, le=65535)
    public_url: str = ""
    user: str = "default"
    password: SecretStr = SecretStr("")
    sql_max_seconds: Positive = 30
    sql_max_memory_mb: Positive = 2048
    sql_max_rows: Positive = 100_000

    @model_validator(mode="after")
    def _no_open_door(self) -> WebSettings:
        if self.host not in ("127.0.0.1", "::1", "localhost") and not self.password.get_secret_value():
            raise ValueError(f"password is required when host is not a loopback address, got host={self.host!r}")
        return self

    @property
    def url(self) -> str:
        return self.public_url or f"http://{self.host}:{self.port}"


class MonitoringSettings(Section):
    """How a worker is watched: ``/health``, ``/ready`` and ``/metrics`` on a port of its own, without a login."""

    host: str = Field(default="127.0.0.1", description="0.0.0.0 where others must reach it.")
    port: int | None = Field(
        default=0,
        ge=0,
        le=65535,
        description="0: a free one, told at start, so that several workers fit on one machine; null: none.",
    )
    hung_after: Duration = Field(
        default=timedelta(minutes=15),
        ge=timedelta(seconds=1),
        description="/health fails when a loop has work and nothing moves this long. Over kafka.max_poll_interval.",
    )
    blind_alert: bool = Field(
        default=True,
        description="Alert when a score covers a much smaller share of rows than before; see docs/monitoring.md.",
    )


class Settings(Section):
    """Everything a process needs to know, validated before it starts."""

    kafka: KafkaSettings = KafkaSettings()
    store: StoreSettings = StoreSettings()
    encoder: EncoderSettings = EncoderSettings()
    detectors: DetectorSettings = DetectorSettings()
    drift: DriftSettings = DriftSettings()
    windows: WindowSettings = WindowSettings()
    segments: SegmentSettings = SegmentSettings()
    privacy: PrivacySettings = PrivacySettings()
    limits: LimitSettings = LimitSettings()
    rules: tuple[Rule, ...] = ()
    event_rules: tuple[EventRule, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    routing: RoutingSettings = RoutingSettings()
    web: WebSettings = WebSettings()
    monitoring: MonitoringSettings = MonitoringSettings()

    @property
    def active_rules(self) -> tuple[Rule, ...]:
        """The rules that may have alerts: those written down, and the one on blindness unless it is off or replaced."""
        written = (*self.rules, *(rule.as_rule() for rule in self.event_rules))
        replaced = any(rule.name == BLIND_RULE.name for rule in self.rules)
        return written if replaced or not self.monitoring.blind_alert else (*written, BLIND_RULE)

    @model_validator(mode="after")
    def _names_meet(self) -> Settings:
        written: tuple[Rule | EventRule, ...] = (*self.rules, *self.event_rules)
        _unique("rules", [rule.name for rule in written])
        names = [receiver.name for receiver in self.receivers]
        _unique("receivers", names)
        for one in written:
            for wanted in one.receivers:
                if wanted not in names:
                    raise ValueError(f"rule {one.name!r} names receiver {wanted!r}; known: {names or 'none'}")
        for rule in self.rules:
            for dimension in rule.group_by:
                if dimension not in self.segments.dimensions:
                    raise ValueError(
                        f"rule {rule.name!r} groups by {dimension!r}; "
                        f"segments.dimensions has {list(self.segments.dimensions)}"
                    )
            if rule.metric.startswith(CANARY) and (
                self.drift.canary is None or rule.group_by != (self.drift.canary.dimension,)
            ):
                wanted = f"group_by: [{self.drift.canary.dimension}]" if self.drift.canary else "drift.canary"
                raise ValueError(f"rule {rule.name!r} on {rule.metric!r} needs {wanted}")
        for route in self.routing.tree():
            for wanted in route.receivers:
                if wanted not in names:
                    raise ValueError(f"routing names receiver {wanted!r}; known: {names or 'none'}")
        self._canary_is_a_segment()
        return self

    def _canary_is_a_segment(self) -> None:
        canary = self.drift.canary
        if canary is not None and canary.dimension not in self.segments.dimensions:
            raise ValueError(
                f"drift.canary.dimension is {canary.dimension!r}; "
                f"segments.dimensions has {list(self.segments.dimensions)}"
            )


def _unique(what: str, names: list[Any]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} must have unique names, got {twice} twice")

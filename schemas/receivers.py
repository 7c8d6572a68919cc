"""Settings of those who are told about alerts, one class a kind."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from inferwatch.schemas import body_template
from inferwatch.schemas.rules import Duration, Severity

MOST_ADDRESSES = 50
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        raise ValueError(f"must be a network such as 169.254.0.0/16, got {text!r}") from None
    return text


def _mail_address(text: str) -> str:
    if _ADDRESS.fullmatch(text) is None:
        raise ValueError(f"must be an address such as oncall@example.com, got {text!r}")
    return text


def _some(addresses: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(addresses) <= MOST_ADDRESSES:
        raise ValueError(f"must be 1 to {MOST_ADDRESSES} addresses, got {len(addresses)}")
    return addresses


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    body_template.check(body)
    return body


Networks = Annotated[
    tuple[Annotated[str, AfterValidator(_network)], ...],
    Field(
        description="Networks that it may be in though they are refused otherwise: link-local, metadata services, "
        "multicast, unspecified and reserved addresses. Such as `169.254.0.0/16`.",
    ),
]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
Authorization = Annotated[SecretStr | None, Field(description="Value of the header Authorization: `Bearer …`.")]


class _Kind(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SlackReceiver(_Kind):
    """A Slack incoming webhook: each message stands alone."""

    type: Literal["slack"]
    name: str
    webhook_url: SecretStr
    allow_networks: Networks = ()


class SlackAppReceiver(_Kind):
    """A Slack app in one channel: an alert's later messages go into the thread of its first, whose head is updated."""

    type: Literal["slack_app"]
    name: str
    bot_token: SecretStr = Field(description="xoxb-…, with the scopes chat:write and channels:history.")
    channel: str = Field(pattern=r"^[CGD][A-Z0-9]{5,20}$", description="The channel's ID, not its name.")
    url: str = Field(default="https://slack.com/api", description="Base address of the Web API.")
    allow_networks: Networks = ()


class PagerDutyReceiver(_Kind):
    """A PagerDuty Events API v2 integration."""

    type: Literal["pagerduty"]
    name: str
    routing_key: SecretStr
    url: str = Field(
        default="https://events.pagerduty.com/v2/enqueue",
        description="In the EU: `https://events.eu.pagerduty.com/v2/enqueue`.",
    )
    severities: dict[Severity, Severity] = Field(
        default_factory=dict, description="Severity of a rule -> PagerDuty's; one that is not named stays."
    )
    images: bool = Field(
        default=False,
        description="Send the picture of a drift alert as an image: where PagerDuty can fetch it without a login.",
    )
    allow_networks: Networks = ()


class WebhookReceiver(_Kind):
    """Any HTTP endpoint that takes JSON; `secret` signs the body (HMAC-SHA256)."""

    type: Literal["webhook"]
    name: str
    url: SecretStr
    secret: SecretStr | None = None
    authorization: Authorization = None
    body: Annotated[dict[str, Any], AfterValidator(_checked)] | None = Field(
        default=None, description="A body of your own with `${title}`, `${labels.application}`, …; null: ours."
    )
    allow_networks: Networks = ()


class AlertmanagerReceiver(_Kind):
    """A Prometheus Alertmanager (API v2). Of a cluster, declare every member: they agree among themselves."""

    type: Literal["alertmanager"]
    name: str
    url: SecretStr = Field(description="Base address, such as https://alertmanager.example.com, with its path prefix.")
    plain_http: bool = Field(
        default=False, description="Allow http:// to another machine: texts of alerts travel unencrypted."
    )
    authorization: Authorization = None
    expires_after: Duration = Field(
        default=timedelta(hours=24),
        ge=timedelta(minutes=10),
        description="Alerts are repeated every minute; one that is not repeated for this long ends there.",
    )
    allow_networks: Networks = ()


class EmailReceiver(_Kind):
    """Mail over SMTP, as text and HTML. The messages of one alert form a thread."""

    type: Literal["email"]
    name: str
    host: str = Field(pattern=r"^[A-Za-z0-9.:_-]+$", description="The mail server.")
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="starttls: encrypted after a greeting (port 587), never without; tls: from the start (port 465).",
    )
    user: str = ""
    password: SecretStr = SecretStr("")
    sender: MailAddress = Field(alias="from")
    to: Annotated[tuple[MailAddress, ...], AfterValidator(_some)]
    allow_networks: Networks = ()

    @model_validator(mode="after")
    def _no_open_password(self) -> EmailReceiver:
        if self.security == "none" and self.user and not _loopback(self.host):
            raise ValueError(
                "security must be starttls or tls where user is set: else the password travels in the clear"
            )
        return self


HttpReceiver = SlackReceiver | SlackAppReceiver | PagerDutyReceiver | WebhookReceiver | AlertmanagerReceiver
Receiver = Annotated[HttpReceiver | EmailReceiver, Field(discriminator="type")]


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

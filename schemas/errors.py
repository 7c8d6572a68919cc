"""Every exception inferwatch raises on purpose. The class decides the reaction, never the text.

InferwatchError
|-- Misconfigured        a person must change a setting, file or flag; the process exits with status 2
|-- Permanent            this item can never succeed; put it aside with its reason and go on
|   |-- InvalidRecord    a record that is not an inference log; goes to the dead letters
|   `-- NotFound         what was asked for is not there, or not any more
`-- Retryable            the same call may succeed later; keep the item, wait, try again
    `-- StoreUnavailable the store refused, hung or is unreachable; consuming pauses
DeliveryError            a notification was not accepted; carries whether and when to retry
"""

from __future__ import annotations


class InferwatchError(Exception):
    """Base of every deliberate error."""


class Misconfigured(InferwatchError):
    """A setting, file or flag is wrong. The message names it, its value and what is allowed."""


class Permanent(InferwatchError):
    """Trying this item again can never succeed."""


class NotFound(Permanent):
    """What was asked for is not there. The message says what there is, or why it has gone."""


class InvalidRecord(Permanent):
    """A record that cannot be read as an inference log.

    Args:
        reason: stable, low-cardinality code such as ``missing_field``; used as a metric label and in SQL.
        detail: a sentence for people that names the field, the value and what is allowed.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Retryable(InferwatchError):
    """The same call may succeed later."""


class StoreUnavailable(Retryable):
    """The store refused, timed out or cannot be reached."""


class DeliveryError(InferwatchError):
    """A receiver did not accept a notification.

    Args:
        message: what happened, without the receiver's secret address.
        retryable: whether the same request may be accepted later.
        retry_after: seconds the receiver asked us to wait, if it did.
    """

    def __init__(self, message: str, *, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after

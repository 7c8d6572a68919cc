"""Which engine errors pause the stream, which put an item aside, and which need a person."""

from __future__ import annotations

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, Error, OperationalError, ProgrammingError

from inferwatch.infra.clickhouse.failures import RETRYABLE, failure
from inferwatch.schemas.errors import InferwatchError, Misconfigured, Permanent, StoreUnavailable


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, StoreUnavailable) for code in sorted(RETRYABLE)),
        *((code, Misconfigured) for code in (81, 192, 193, 194, 497, 516)),
        # syntax, unknown column, unknown table, type mismatch, read-only user, unparsable value
        *((code, Permanent) for code in (16, 27, 47, 53, 60, 62, 164)),
    ],
)
def test_the_code_decides(code: int, kind: type[InferwatchError]) -> None:
    for error in (DatabaseError("refused", code=code), DatabaseError(f"Code: {code}. DB::Exception: refused")):
        assert type(failure(error, "insert")) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OperationalError("connection reset"), StoreUnavailable),
        (DatabaseError("HTTP 502 from a proxy"), StoreUnavailable),
        (Error("whatever the network says"), StoreUnavailable),
        (OSError(28, "No space left on device"), StoreUnavailable),
        (ProgrammingError("the call itself is wrong"), Permanent),
        (DataError("a value cannot be sent"), Permanent),
        (pa.ArrowInvalid("not Arrow"), Permanent),
    ],
)
def test_without_a_code_the_class_decides(error: Exception, kind: type[InferwatchError]) -> None:
    assert type(failure(error, "insert")) is kind


def test_the_text_never_decides() -> None:
    error = DatabaseError("TOO_MANY_PARTS TIMEOUT network is unreachable, no space left", code=62)
    assert type(failure(error, "insert")) is Permanent

"""The page of an alert in a real browser, as wide as a phone: it fits, and what one types is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from inferwatch.infra.clickhouse.store import ClickHouseStore
from inferwatch.infra.web.app import create_app
from inferwatch.schemas.clock import ManualClock
from inferwatch.schemas.settings import SegmentSettings, Settings, StoreSettings
from tests.support.browser import CHROMIUM, browser
from tests.support.stored_alerts import ALERT, STEP, T0, THRESHOLDS, insert, numbers, traffic, transition

PHONE = 390


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
async def test_on_a_phone_an_alert_is_read_acknowledged_and_written_on(
    store: ClickHouseStore, store_settings: StoreSettings, tmp_path: Path
) -> None:
    traffic(store)
    numbers(store)
    insert(store, "alerts_raw", [transition("firing", 0)])
    settings = Settings(store=store_settings, segments=SegmentSettings(dimensions=("model",)))
    app = create_app(settings, store, clock=ManualClock(T0 + 3 * STEP), thresholds=THRESHOLDS)
    async with TestClient(TestServer(app)) as client, browser(tmp_path / "profile", PHONE) as tab:
        await tab.open(str(client.make_url(f"/alerts/{ALERT}")))
        assert await tab.run("document.documentElement.scrollWidth") <= PHONE, "nothing sticks out"
        assert await tab.run("getComputedStyle(document.querySelector('.chart-around .line')).fill") == "none"
        assert await tab.run("document.querySelector('.chart-around').getBoundingClientRect().height") == 240
        assert await tab.run("document.querySelectorAll('mark').length") > 0

        await tab.run("document.querySelector('[data-post$=acknowledgements] input').value = 'Ada'")
        await tab.run("document.querySelector('[data-post$=acknowledgements] button').click()")
        await tab.until("document.querySelector('.acknowledged')?.textContent.startsWith('Ada has it in hand')")

        assert await tab.run("document.querySelector('[data-post$=notes] input').value") == "Ada", "it is remembered"
        await tab.run("document.querySelector('[data-post$=notes] textarea').value = '<b>Rolled back.</b>'")
        await tab.run("document.querySelector('[data-post$=notes] button').click()")
        await tab.until("document.querySelector('.notes p')?.textContent === '<b>Rolled back.</b>'")
        assert await tab.run("document.querySelectorAll('.timeline .note').length") == 1
        assert await tab.run("document.querySelector('[data-post$=notes] textarea').value") == ""

"""``inferwatch receivers test``: what an engineer sees, and what arrives."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from inferwatch.infra.cli import main
from inferwatch.infra.demo.vendors import pagerduty_faults, slack_faults
from inferwatch.infra.notifiers.pagerduty import event
from inferwatch.infra.notifiers.slack_message import message
from inferwatch.infra.trial import trial
from inferwatch.schemas.rules import Severity


@dataclass
class Hook:
    """A webhook on this machine."""

    url: str = ""
    status: int = 200
    bodies: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}/hook-0123456789"
        yield found
        server.shutdown()
        thread.join()


def run(folder: Path, hook: Hook, *arguments: str) -> tuple[int, str, str]:
    settings = {"receivers": [{"type": "webhook", "name": "ours", "url": hook.url}]}
    (folder / "c.yaml").write_text(json.dumps(settings))
    result = CliRunner().invoke(main, ["-c", str(folder / "c.yaml"), "receivers", "test", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_an_alert_and_its_end_are_sent_and_say_that_they_are_a_test(tmp_path: Path, hook: Hook) -> None:
    assert run(tmp_path, hook, "ours") == (0, "ours: firing and resolved accepted\n", "")
    firing, resolved = (body["notification"] for body in hook.bodies)
    assert (firing["status"], resolved["status"]) == ("firing", "resolved")
    assert firing["dedup_key"] == resolved["dedup_key"]
    assert firing["title"] == resolved["title"] == "TEST, nothing is wrong: receiver ours"
    assert firing["severity"] == "info"


def test_it_may_be_urgent_and_stay_open(tmp_path: Path, hook: Hook) -> None:
    assert run(tmp_path, hook, "ours", "--severity", "critical", "--no-resolve")[0] == 0
    [body] = hook.bodies
    assert body["notification"]["severity"] == "critical"


@pytest.mark.parametrize(("status", "said"), [(403, "correct the receiver's settings"), (503, "may take it later")])
def test_a_refusal_says_why_and_hides_the_address(tmp_path: Path, hook: Hook, status: int, said: str) -> None:
    hook.status = status
    code, out, err = run(tmp_path, hook, "ours")
    assert (code, out) == (1, "")
    assert said in err
    assert str(status) in err
    assert "hook-0123456789" not in err


def test_a_misspelt_name_is_told(tmp_path: Path, hook: Hook) -> None:
    code, _, err = run(tmp_path, hook, "our")
    assert code == 2
    assert "did you mean 'ours'" in err
    assert hook.bodies == []


@pytest.mark.parametrize("severity", Severity)
def test_vendors_take_it(severity: Severity) -> None:
    for note in trial("x" * 300, severity, "", datetime(2026, 3, 1, tzinfo=UTC)):
        assert slack_faults(json.dumps(message(note)).encode()) == []
        assert pagerduty_faults(json.dumps(event(note, "0" * 32, "trigger")).encode()) == []

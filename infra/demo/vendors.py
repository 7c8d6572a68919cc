"""What Slack and PagerDuty accept, by their documentation: a request in, the list of its faults out.

References:
    Slack, "Sending messages using incoming webhooks" and "Block Kit: blocks, composition objects".
    PagerDuty, "Events API v2: send an event".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

Faults = Iterator[str]

# PagerDuty ---------------------------------------------------------------------------------------------------------
_EVENT_BYTES = 512 * 1024
_ROUTING_KEY_CHARS = 32
_ACTIONS = ("trigger", "acknowledge", "resolve")
_SEVERITIES = ("critical", "error", "warning", "info")
_EVENT_FIELDS = ("routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url")
_PAYLOAD_FIELDS = ("summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details")


def pagerduty_faults(body: bytes) -> list[str]:
    """Return what is wrong with the body of ``POST /v2/enqueue``; an empty list when it is accepted."""
    if len(body) > _EVENT_BYTES:
        return [f"event must be at most {_EVENT_BYTES} bytes, got {len(body)}"]
    event = _object(body)
    return ["event must be a JSON object"] if event is None else list(_event(event))


def _event(event: dict[str, Any]) -> Faults:
    yield from (f"'{name}' is not a field of an event" for name in event if name not in _EVENT_FIELDS)
    key = event.get("routing_key")
    if not isinstance(key, str) or len(key) != _ROUTING_KEY_CHARS:
        yield f"'routing_key' must be a string of {_ROUTING_KEY_CHARS} characters"
    action = event.get("event_action")
    if action not in _ACTIONS:
        yield f"'event_action' must be one of {_ACTIONS}, got {action!r}"
    dedup = event.get("dedup_key")
    if dedup is None and action != "trigger":
        yield f"'dedup_key' is required to {action}"
    if dedup is not None:
        yield from _text("dedup_key", dedup, 255)
    payload = event.get("payload")
    if payload is None and action == "trigger":
        yield "'payload' is required to trigger"
    if payload is not None:
        yield from _payload(payload) if isinstance(payload, dict) else ["'payload' must be an object"]
    yield from _all("links", event.get("links", []), _link)
    yield from _all("images", event.get("images", []), _event_image)


def _payload(payload: dict[str, Any]) -> Faults:
    yield from (f"'payload.{name}' is not a field of a payload" for name in payload if name not in _PAYLOAD_FIELDS)
    yield from _text("payload.summary", payload.get("summary"), 1024)
    yield from _text("payload.source", payload.get("source"), None)
    if payload.get("severity") not in _SEVERITIES:
        yield f"'payload.severity' must be one of {_SEVERITIES}, got {payload.get('severity')!r}"
    if "timestamp" in payload and not _is_time(payload["timestamp"]):
        yield f"'payload.timestamp' must be ISO 8601, got {payload['timestamp']!r}"
    for name in ("component", "group", "class"):
        if name in payload:
            yield from _text(f"payload.{name}", payload[name], None)
    if not isinstance(payload.get("custom_details", {}), dict):
        yield "'payload.custom_details' must be an object"


def _link(where: str, link: dict[str, Any]) -> Faults:
    yield from _address(f"{where}.href", link.get("href"), None)
    if "text" in link:
        yield from _text(f"{where}.text", link["text"], None)


def _event_image(where: str, image: dict[str, Any]) -> Faults:
    yield from _address(f"{where}.src", image.get("src"), None)
    if not str(image.get("src", "")).startswith("https://"):
        yield f"'{where}.src' must be served by https"


# Slack -------------------------------------------------------------------------------------------------------------
_MESSAGE_CHARS = 40_000
_BLOCKS = 50
_BLOCK_CHARS = 12_000


def slack_faults(body: bytes) -> list[str]:
    """Return what is wrong with the body sent to an incoming webhook; an empty list when it is accepted."""
    message = _object(body)
    return ["invalid_payload: must be a JSON object"] if message is None else list(_message(message))


def _message(message: dict[str, Any]) -> Faults:
    if "text" in message:
        yield from _text("text", message["text"], _MESSAGE_CHARS)
    elif not message.get("blocks") and not message.get("attachments"):
        yield "no_text: one of 'text', 'blocks', 'attachments' is required"
    yield from _blocks("blocks", message.get("blocks", []))
    attachments = message.get("attachments", [])
    yield from _all("attachments", attachments, lambda where, one: _blocks(f"{where}.blocks", one.get("blocks", [])))


def _blocks(where: str, blocks: object) -> Faults:
    if isinstance(blocks, list) and len(blocks) > _BLOCKS:
        yield f"'{where}' must hold at most {_BLOCKS} blocks, got {len(blocks)}"
    if len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":"))) > _BLOCK_CHARS:
        yield f"'{where}' must have at most {_BLOCK_CHARS} characters together"
    yield from _all(where, blocks, _block)


def _block(where: str, block: dict[str, Any]) -> Faults:
    if "block_id" in block:
        yield from _text(f"{where}.block_id", block["block_id"], 255)
    match block.get("type"):
        case "header":
            yield from _text_object(f"{where}.text", block.get("text"), 150, ("plain_text",))
        case "section":
            if "text" not in block and "fields" not in block:
                yield f"'{where}' needs 'text' or 'fields'"
            if "text" in block:
                yield from _text_object(f"{where}.text", block["text"], 3000)
            fields = block.get("fields", [None])
            if not 1 <= len(fields) <= 10:
                yield f"'{where}.fields' must hold 1 to 10 texts, got {len(fields)}"
            for place, one in enumerate(block.get("fields", [])):
                yield from _text_object(f"{where}.fields[{place}]", one, 2000)
            if "accessory" in block:
                yield from _element(f"{where}.accessory", block["accessory"])
        case "context":
            yield from _counted(f"{where}.elements", block.get("elements"), 10, _context_element)
        case "actions":
            yield from _counted(f"{where}.elements", block.get("elements"), 25, _element)
        case "image":
            yield from _image(where, block)
        case "divider":
            pass
        case other:
            yield f"'{where}.type' {other!r} is not a block of an incoming webhook"


def _context_element(where: str, element: dict[str, Any]) -> Faults:
    yield from _image(where, element) if element.get("type") == "image" else _text_object(where, element, 2000)


def _element(where: str, element: dict[str, Any]) -> Faults:
    if element.get("type") == "image":
        yield from _image(where, element)
        return
    if element.get("type") != "button":
        yield f"'{where}.type' must be button or image here, got {element.get('type')!r}"
        return
    yield from _text_object(f"{where}.text", element.get("text"), 75, ("plain_text",))
    if "url" in element:
        yield from _address(f"{where}.url", element["url"], 3000)
    if "value" in element:
        yield from _text(f"{where}.value", element["value"], 2000)
    if "action_id" in element:
        yield from _text(f"{where}.action_id", element["action_id"], 255)
    if element.get("style", "primary") not in ("primary", "danger"):
        yield f"'{where}.style' must be primary or danger, got {element['style']!r}"


def _image(where: str, image: dict[str, Any]) -> Faults:
    yield from _address(f"{where}.image_url", image.get("image_url"), 3000)
    yield from _text(f"{where}.alt_text", image.get("alt_text"), 2000)


def _text_object(where: str, value: object, most: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> Faults:
    if not isinstance(value, dict):
        yield f"'{where}' must be a text object, got {type(value).__name__}"
        return
    if value.get("type") not in kinds:
        yield f"'{where}.type' must be one of {kinds}, got {value.get('type')!r}"
    yield from _text(f"{where}.text", value.get("text"), most)


# Both --------------------------------------------------------------------------------------------------------------
def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body, parse_constant=_no_constant)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _text(where: str, value: object, most: int | None) -> Faults:
    if not isinstance(value, str) or not value:
        yield f"'{where}' must be a text that is not empty, got {value!r:.60}"
    elif most is not None and len(value) > most:
        yield f"'{where}' must have at most {most} characters, got {len(value)}"


def _address(where: str, value: object, most: int | None) -> Faults:
    yield from _text(where, value, most)
    if isinstance(value, str) and urlsplit(value).scheme not in ("http", "https"):
        yield f"'{where}' must be an http or https address, got {value!r:.60}"


def _all(where: str, values: object, check: Callable[[str, dict[str, Any]], Iterator[str]]) -> Faults:
    if not isinstance(values, list):
        yield f"'{where}' must be a list, got {type(values).__name__}"
        return
    for place, value in enumerate(values):
        if isinstance(value, dict):
            yield from check(f"{where}[{place}]", value)
        else:
            yield f"'{where}[{place}]' must be an object, got {type(value).__name__}"


def _counted(where: str, values: object, most: int, check: Callable[[str, dict[str, Any]], Iterator[str]]) -> Faults:
    if not isinstance(values, list) or not 1 <= len(values) <= most:
        yield f"'{where}' must hold 1 to {most} elements"
    else:
        yield from _all(where, values, check)


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False

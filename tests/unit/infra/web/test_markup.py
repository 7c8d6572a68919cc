"""Whatever a text holds, it is text on the page."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from inferwatch.infra.web.example_card import marked
from inferwatch.infra.web.markup import document, el, moment
from inferwatch.streams.incidents.examples import Excerpt, Mark


class Read(HTMLParser):
    """The tags and the text of a page, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = st.one_of(
    st.text(), st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b>", "]]>", "<!--"])
)


@given(HOSTILE, HOSTILE)
def test_texts_and_attributes_come_back_as_they_were(text: str, attribute: str) -> None:
    text, attribute = (one.replace("\r", "").encode("utf-8", "replace").decode() for one in (text, attribute))
    read = Read(document(el("p", text, el("b", text), text, title=attribute)).decode())
    assert read.tags == ["p", "b"]
    assert read.text == "\n" + text * 3
    assert read.attributes == [("title", attribute)]


def test_an_attribute_that_is_none_is_left_out_and_names_lose_their_underscores() -> None:
    page = document(el("a", "x", class_="c", aria_label="l", href=None))
    assert page == b'<!doctype html>\n<a class="c" aria-label="l">x</a>'


def test_a_lone_surrogate_does_not_stop_the_page() -> None:
    assert b"a?b" in document(el("p", "a\ud800b"))


def test_times_are_shown_in_utc_with_their_day() -> None:
    at = datetime(2026, 3, 1, 14, 5, tzinfo=UTC)
    assert (moment(at).text, moment(at).get("datetime")) == ("14:05 UTC, 1 Mar", "2026-03-01T14:05:00Z")


@given(
    st.text(max_size=60),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80), st.floats(0, 1)), max_size=5),
    st.integers(0, 30),
)
def test_marking_evidence_changes_no_text(text: str, spans: list[tuple[int, int, float]], offset: int) -> None:
    marks = [Mark("output", start, end, score, "") for start, end, score in spans]
    pieces = marked(Excerpt(text, offset, whole=True), marks)
    said = "".join(piece if isinstance(piece, str) else (piece.text or "") for piece in pieces if piece is not None)
    assert said.removeprefix("… " if offset else "") == text
    inside = {place for start, end, _ in spans for place in range(start - offset, end - offset)}
    shown = sum(len(piece.text or "") for piece in pieces if piece is not None and not isinstance(piece, str))
    assert shown == len(inside & set(range(len(text))))


def test_where_evidence_overlaps_the_strongest_shows() -> None:
    marks = [Mark("output", 0, 6, 0.95, ""), Mark("output", 4, 9, 0.5, ""), Mark("output", None, None, 1.0, "")]
    pieces = marked(Excerpt("abcdefghij"), marks)
    assert [
        (piece if isinstance(piece, str) else (piece.get("class"), piece.text)) for piece in pieces if piece is not None
    ] == [
        ("strong", "abcdef"),
        (None, "ghi"),
        "j",
    ]

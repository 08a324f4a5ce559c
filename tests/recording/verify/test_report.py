"""The report: one page that loads nothing and escapes everything, and a file with a schema that the documents have."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import msgspec
import pytest

from relay.recording.verify.figures import (
    AudioFigures,
    CallEvent,
    CounterFigures,
    Finding,
    OffsetFigures,
    PacketFigures,
    ProductReport,
    TrackReport,
    VerificationReport,
    VideoFigures,
)
from relay.recording.verify.report import html, schema, write_report

DOCUMENT = Path(__file__).parents[3] / "docs" / "recording.md"

HOSTILE = "</style></svg><script>alert(1)</script>&<b title='\"'>"

REPORT = VerificationReport(
    generator="call-relay",
    created="2026-11-27T12:00:00+00:00",
    verdict="failed",
    reasons=[f"A video: {HOSTILE}"],
    recording=HOSTILE,
    started=HOSTILE,
    duration=10,
    end_reason=HOSTILE,
    references={HOSTILE: HOSTILE},
    limits={"max_av_offset": 0.08, "min_psnr": 30},
    findings=[
        Finding(name="max_freeze", state="failed", track=HOSTILE, value=2, limit=0.5, unit="s", sentence=HOSTILE),
        Finding(name="readable", state="passed", track="A audio", sentence="A audio: every frame can be decoded."),
    ],
    products=[ProductReport(name=HOSTILE, size=1, container=HOSTILE, duration=10)],
    tracks=[
        TrackReport(
            party=HOSTILE,
            kind="video",
            file=HOSTILE,
            packets=[PacketFigures(ssrc=1, codec=HOSTILE, loss=[0, 0.5])],
            video=VideoFigures(codec=HOSTILE, start=0, duration=10, frames=300, rates=[30.0] * 10, freezes=[(2, 2)]),
        ),
        TrackReport(
            party=HOSTILE,
            kind="audio",
            audio=AudioFigures(
                codec=HOSTILE, channels=1, sample_rate=48_000, start=0, duration=10, packets=500, levels=[-20.0] * 100
            ),
        ),
    ],
    av_offsets={HOSTILE: OffsetFigures(by="reference", median=0.1, p95=0.1, worst=0.1, seconds=[(1, 0.1)])},
    events=[CallEvent(time=1, name=HOSTILE, text=HOSTILE)],
    notes=[HOSTILE],
)


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_nothing_of_a_recording_becomes_part_of_the_page() -> None:
    tags = _Page(html(REPORT)).tags
    assert "script" not in {tag for tag, _ in tags}
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert "<b title" not in html(REPORT)


def test_the_page_loads_nothing() -> None:
    text = html(REPORT)
    for tag, attributes in _Page(text).tags:
        assert tag not in {"link", "img", "iframe", "object", "video", "audio", "image"}
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert not re.search(r"url\((?!#)|@import", text)


def test_every_plot_has_words_for_those_who_do_not_see_it_and_ids_of_its_own() -> None:
    tags = _Page(html(REPORT)).tags
    plots = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(plots) == 5
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in plots)
    clips = [attributes["id"] for tag, attributes in tags if tag == "clippath"]
    assert len(set(clips)) == len(clips)


@pytest.mark.parametrize(
    ("last", "said"), [(299, "30 to 299, 0 missing"), (3, "30 to its end, and from its beginning to 3, 0 missing")]
)
def test_a_source_that_was_played_again_has_a_counter_that_goes_on_from_its_beginning(last: int, said: str) -> None:
    numbers = CounterFigures(readable=274, unreadable=0, first=30, last=last, missing=0, rate=30)
    video = VideoFigures(codec="vp8", start=0, duration=9, frames=274, counter=numbers)
    tracks = [TrackReport(party="A", kind="video", video=video)]
    report = VerificationReport(generator="", created="", verdict="passed", reasons=[], tracks=tracks)
    assert said in html(report)


def test_a_report_of_nothing_is_a_page_too() -> None:
    empty = VerificationReport(generator="", created="", verdict="unreadable", reasons=["There is no recording."])
    assert "Cannot be judged" in html(empty)


def test_the_schema_of_the_document_is_that_of_the_code() -> None:
    text = DOCUMENT.read_text()
    [block] = re.findall(r"(?ms)^```json\n(\{\n +\"\$schema\".*?)\n```$", text)
    assert json.loads(block) == schema(), "see: python -c 'from relay.recording.verify.report import schema; …'"


def test_a_report_fits_its_schema_and_reads_back(tmp_path: Path) -> None:
    result = write_report(REPORT, tmp_path / "deep" / "folder")
    [plain, page] = result.files
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(json.loads(plain.read_bytes()), schema())
    assert msgspec.json.decode(plain.read_bytes(), type=VerificationReport) == REPORT
    assert {file.stat().st_mode & 0o777 for file in (plain, page)} == {0o600}
    assert result.exit_status == 1


@pytest.mark.parametrize("value", [2, "1", None])
def test_a_report_of_another_version_does_not_fit(value: object) -> None:
    content = msgspec.to_builtins(REPORT) | {"version": value}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema())

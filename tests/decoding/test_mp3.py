"""MPEG frames are counted by their headers."""

from __future__ import annotations

import io

import numpy as np
import pytest

from melmoat.decoding import AudioError, decode, mp3
from tests.decoding.writing import by_ffmpeg, signal

RATE = 16_000
WHOLE = by_ffmpeg("mp3", "libmp3lame", signal(), RATE)
ID3 = b"ID3\x04\0\0" + bytes([0, 0, 2, 0]) + bytes(256)  # a tag of 256 bytes
TAG = b"TAG" + bytes(125)


def start(content: bytes) -> int:
    return mp3.layout(content).segments[0].start


FRAMES = WHOLE[start(WHOLE) :]
counting = mp3.header(FRAMES, 0)
assert counting is not None
UNCOUNTED = FRAMES[counting.size :]


@pytest.mark.parametrize(
    ("head", "size", "samples", "rate"),
    [
        ("fffb9000", 417, 1152, 44_100),  # MPEG 1, layer III, 128 kbit/s
        ("fffb9200", 418, 1152, 44_100),  # padded
        ("fff34400", 96, 576, 24_000),  # MPEG 2, layer III, 32 kbit/s
        ("ffe31000", 52, 576, 11_025),  # MPEG 2.5, 8 kbit/s
        ("fffd8000", 417, 1152, 44_100),  # MPEG 1, layer II, 128 kbit/s
        ("ffff9000", 312, 384, 44_100),  # MPEG 1, layer I, 288 kbit/s
    ],
)
def test_headers(head: str, size: int, samples: int, rate: int) -> None:
    assert mp3.header(bytes.fromhex(head), 0) == mp3.Header(size, samples, rate)


@pytest.mark.parametrize("head", ["fffb0000", "fffbf000", "fffb9c00", "ffeb9000", "fff19000"])
def test_what_is_no_header(head: str) -> None:
    assert mp3.header(bytes.fromhex(head), 0) is None


def heard(content: bytes) -> tuple[float, tuple[str, ...]]:
    found = decode(io.BytesIO(content), "a")
    assert found.rate == RATE
    assert float(np.abs(found.samples[-3_000:]).max()) > 0.1  # to the end
    return len(found.samples) / RATE, found.notes


def test_with_and_without_a_counting_frame() -> None:
    assert heard(WHOLE) == (1.0, ())
    seconds, notes = heard(UNCOUNTED)
    assert 1.0 < seconds < 1.2  # a coder's delay and padding are not known without it
    assert notes == ()


def test_joined_and_tagged_files_are_heard_whole() -> None:
    assert heard(WHOLE + WHOLE) == (2.0, ())
    assert heard(ID3 + FRAMES + TAG) == (1.0, ())
    assert heard(ID3 + FRAMES + ID3 + FRAMES) == (2.0, ())
    alone = heard(UNCOUNTED)[0]
    for content, parts in (
        (UNCOUNTED + ID3 + UNCOUNTED, 2 * alone),
        (FRAMES + UNCOUNTED, 1 + alone),
        (UNCOUNTED + FRAMES, 1 + alone),
    ):
        assert heard(content) == (pytest.approx(parts, abs=0.08), ())


def test_what_a_counting_frame_misses_is_cut() -> None:
    with pytest.raises(AudioError, match="cut short: its first frame counts 30 frames and 14"):
        decode(io.BytesIO(FRAMES[: len(FRAMES) // 2]), "a")


def test_a_torn_last_frame_and_junk_are_named() -> None:
    assert heard(UNCOUNTED[:-10])[1] == ("its last frame is not whole: the file may be cut short",)
    (note,) = heard(FRAMES + b"\0" * 500 + UNCOUNTED)[1]
    assert "500 of its" in note
    with pytest.raises(AudioError, match="bytes are no audio: damaged"):
        decode(io.BytesIO(FRAMES + bytes(20_000)), "a")


def test_tags_alone_are_no_audio() -> None:
    with pytest.raises(AudioError, match="not readable as audio"):
        decode(io.BytesIO(ID3 * 1_000), "a")


def test_a_file_of_almost_frames_takes_no_longer_than_its_length() -> None:
    """Twice the bytes, twice the work: counted in looks at headers, not in seconds."""
    looks = 0
    whole = mp3.header

    def counted(data: bytes, at: int) -> mp3.Header | None:
        nonlocal looks
        looks += 1
        return whole(data, at)

    for content in (b"\xff\xfb\x90I" * 5_000 + b"x", b"TAG" * 5_000, UNCOUNTED + b"\xff" * 9_000):
        looks = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mp3, "header", counted)
            mp3.layout(content)
        assert looks < len(content)


def test_zeros_in_front_do_not_hide_a_count() -> None:
    cut = bytes(1_000) + FRAMES[: len(FRAMES) // 2]
    with pytest.raises(AudioError, match="cut short: its first frame counts 30"):
        decode(io.BytesIO(cut), "a")

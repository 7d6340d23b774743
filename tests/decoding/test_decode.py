"""One signal in every container: all of it is read, or what is wrong with the file is said."""

from __future__ import annotations

import io
import random
import warnings
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from melmoat.decoding import AudioError, Decoded, channel_of, decode, probe
from tests.decoding.writing import FFMPEG, RATE, SNDFILE, by_ffmpeg, by_sndfile, signal

FILES = {f"{one} {coding}": by_sndfile(one, coding, signal()) for one, coding in SNDFILE} | {
    f"{one} {coder}": by_ffmpeg(one, coder, signal(rate), rate) for one, coder, rate in FFMPEG
}
LOSSLESS = [f"{one} {coding}" for (one, coding), bits in SNDFILE.items() if bits == 16] + [
    "mp4 alac",
    "matroska flac",
    "ogg flac",
    "tta tta",
]
MUTE = {"adts aac", "ac3 ac3", "amr libopencore_amrnb", "asf wmav2"}  # no count of frames


def heard(content: bytes, **options: object) -> Decoded:
    return decode(io.BytesIO(content), "a", **options)  # type: ignore[arg-type]


def outcome(content: bytes) -> tuple[Decoded | None, str]:
    """What is heard, or else why nothing is."""
    try:
        return heard(content, longest=60), ""
    except AudioError as error:
        return None, str(error)


def loudness(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.square(samples).mean()))


@pytest.mark.parametrize("name", FILES)
def test_every_container_is_read_to_its_end(name: str) -> None:
    found = heard(FILES[name])
    assert not found.notes
    assert 0.99 < len(found.samples) / found.rate < 1.1  # WMA's coder leaves some out
    ending = found.samples[int(0.85 * found.rate) : int(0.95 * found.rate)]
    assert loudness(ending) > 0.6 * loudness(signal())
    if name in LOSSLESS:
        assert np.array_equal(found.samples, signal())
        assert found.rate == RATE


@pytest.mark.parametrize("name", FILES)
def test_a_path_and_an_open_file_are_alike(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(FILES[name])
    found = heard(FILES[name])
    assert np.array_equal(decode(path, "a").samples, found.samples)
    said = probe(path, "a")
    assert (said.rate, said.frames, said.channels) == (found.rate, len(found.samples), 1)


@pytest.mark.parametrize("name", FILES)
def test_joined_files_are_heard_whole_or_named(name: str) -> None:
    found, why = outcome(FILES[name] * 2)
    if found is None:
        assert "follow" in why or "damaged" in why
    else:
        assert len(found.samples) / found.rate >= 2.0


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_is_said_to_be_cut(name: str, share: float) -> None:
    found, why = outcome(FILES[name][: int(share * len(FILES[name]))])
    if found is None:
        assert why
    else:
        assert found.notes or name in MUTE
        assert len(found.samples) / found.rate < share + 0.1


def wav(size: int, samples: NDArray[np.float32] | None = None, order: str = "little") -> bytes:
    """A WAV file whose header says that it has ``size`` bytes of samples."""
    wave = (32_768 * (signal() if samples is None else samples)).astype("<i2").tobytes()
    head = b"WAVEfmt " + (16).to_bytes(4, "little") + bytes.fromhex("0100 0100 803e0000 007d0000")
    head += bytes.fromhex("0200 1000") + b"data" + size.to_bytes(4, "little")
    return b"RIFF" + min(size + 36, 2**32 - 1).to_bytes(4, "little") + head + wave


@pytest.mark.parametrize(
    "size",
    [
        0,
        0x7FFFF000,
        0x7FFFF024,
        0x7FFFFF00,
        0x7FFFFFFF,
        0x80000000,
        0x80000024,
        0xFFFFFFDB,
        0xFFFFFFFE,
        0xFFFFFFFF,
    ],
)
def test_sizes_that_stand_for_unknown_ones(size: int) -> None:
    assert np.array_equal(heard(wav(size)).samples, signal())


def test_other_containers_whose_length_was_not_known(tmp_path: Path) -> None:
    files = {}
    for kind, coding in (("AU", "PCM_16"), ("CAF", "PCM_16"), ("W64", "PCM_16")):
        content = bytearray(by_sndfile(kind, coding, signal()))
        at = content.find(b"data")
        if kind == "AU":
            content[8:12] = b"\xff" * 4
        elif kind == "CAF":
            content[at + 4 : at + 12] = b"\xff" * 8
        else:
            content[at + 16 : at + 24] = (2**63 - 1).to_bytes(8, "little")
        files[kind] = bytes(content)
    flac = bytearray(by_sndfile("FLAC", "PCM_16", signal()))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    files["FLAC"] = bytes(flac)
    for kind, content in files.items():
        path = tmp_path / kind
        path.write_bytes(content)
        assert np.array_equal(decode(path, "a").samples, signal()), kind
        assert probe(path, "a").frames == len(signal()), kind


def test_a_size_that_counts_too_little_is_named() -> None:
    with pytest.raises(AudioError, match="counts 16,000 bytes of samples, and 16,000 more follow"):
        heard(wav(16_000))


def test_what_is_no_sound_after_a_wav_is_passed_over() -> None:
    whole = wav(32_000)
    note = b"LIST" + (4).to_bytes(4, "little") + b"INFO"
    odd = b"note" + (3).to_bytes(4, "little") + b"abc\0"
    for after in (note, odd + note, bytes(10_000), b"TAG" + b"x" * 125):
        found = heard(whole + after)
        assert np.array_equal(found.samples, signal()), after[:4]


def test_an_empty_wav_with_more_chunks_is_empty() -> None:
    note = b"LIST" + (4).to_bytes(4, "little") + b"INFO"
    content = wav(0, np.zeros(0, np.float32)) + note
    with pytest.raises(AudioError, match="there is no sound in it"):
        heard(content)


def test_limits_are_kept_before_decoding() -> None:
    content = by_sndfile("FLAC", "PCM_16", np.zeros((RATE, 3)))
    for limit, message in (
        ({"longest": 0.5}, "1.0 s of audio, of which 0.5 s are taken"),
        ({"fastest": 8_000}, "16000 samples a second, where 2000 to 8000 are taken"),
        ({"widest": 2}, "3 channels, where 2 are taken"),
    ):
        with pytest.raises(AudioError, match=message):
            heard(content, **limit)
    slow = bytearray(wav(32_000))
    slow[24:28] = (1).to_bytes(4, "little")
    with pytest.raises(AudioError, match="1 samples a second"):
        heard(bytes(slow))


@pytest.mark.parametrize("kind", [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("mp4", "alac")])
def test_channels(kind: tuple[str, str]) -> None:
    left, right = signal(), np.round(signal()[::-1] * 16_384) / 32_768

    def stereo(*channels: NDArray[np.float32]) -> bytes:
        wave = np.stack(channels, axis=1).astype(np.float32)
        if kind[0] == "mp4":
            return by_ffmpeg(*kind, wave, RATE)
        return by_sndfile(*kind, wave)

    both = heard(stereo(left, right))
    assert np.allclose(both.samples, (left + right) / 2, atol=1e-4)
    assert "its channels differ" in both.notes[0]
    assert np.allclose(heard(stereo(left, right), channel=1).samples, right, atol=1e-4)
    assert not heard(stereo(left, left)).notes
    assert not heard(stereo(left, 0 * left)).notes  # one side is recorded, the other is not
    opposite = heard(stereo(left, -left))
    assert "its 2 channels cancel: their mean is far weaker" in opposite.notes[0]
    assert np.allclose(heard(stereo(left, -left), channel=0).samples, left, atol=1e-4)
    with pytest.raises(AudioError, match="no channel 2; it has 2, and 0 is the first"):
        heard(stereo(left, right), channel=2)


def test_channels_that_cancel_in_part_or_on_an_offset() -> None:
    left, still = signal(seconds=4), np.zeros(4 * RATE, np.float32)
    late = np.where(np.arange(len(left)) < len(left) // 2, left, -left)

    def notes(*channels: NDArray[np.float32]) -> tuple[str, ...]:
        wave = np.stack(channels, axis=1).astype(np.float32)
        return heard(by_sndfile("WAV", "FLOAT", wave)).notes

    assert "cancel: their mean" in notes(left + 0.1, 0.1 - left)[0]
    assert "cancel in 50 % of it" in notes(left, late)[0]
    assert "channels differ" in notes(left + 0.1, left[::-1] + 0.1)[0]
    assert "channels differ" in notes(left, left[::-1], still, still)[0]
    assert not notes(left, 0.5 * left, still)


def sound(kind: str, coding: str) -> bytes:
    return by_sndfile(kind, coding, np.tile(signal(), 20))


def test_damage_inside_is_named() -> None:
    whole = sound("FLAC", "PCM_16")
    half = bytearray(whole)  # counts too few
    half[22:26] = (2 * RATE).to_bytes(4, "big")
    assert np.array_equal(heard(bytes(half)).samples, heard(whole).samples)
    flac = bytearray(whole)
    flac[len(flac) // 2] ^= 0x55
    unknown = bytearray(flac)
    unknown[21] &= 0xF0
    unknown[22:26] = bytes(4)
    ogg = sound("OGG", "VORBIS")
    pages = [b"OggS" + page for page in ogg.split(b"OggS")[1:]]
    flipped = bytearray(ogg)
    flipped[len(ogg) // 2] ^= 0x55
    for content in (flac, unknown, flipped, b"".join(pages[:-2] + pages[-1:])):
        with pytest.raises(AudioError):
            heard(bytes(content))
    assert "not marked as the last" in heard(b"".join(pages[:-1])).notes[0]


def test_nothing_but_the_file_is_read(tmp_path: Path) -> None:
    """Playlists would make FFmpeg read other files, session descriptions listen to the network."""
    (tmp_path / "private.wav").write_bytes(wav(32_000))
    for content in (
        b"ffconcat version 1.0\nfile private.wav\n",
        f"ffconcat version 1.0\nfile '{tmp_path}/private.wav'\n".encode(),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nprivate.wav\n#EXT-X-ENDLIST\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        b"m=audio 5004 RTP/AVP 0\r\n",
    ):
        (tmp_path / "list.wav").write_bytes(content)
        with pytest.raises(AudioError, match="not readable as audio"):
            decode(tmp_path / "list.wav", "a")
        with pytest.raises(AudioError, match="not readable as audio"):
            heard(content)


def test_names_that_look_like_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("10:20:30.m4a").write_bytes(FILES["mp4 aac"])
    assert len(decode("10:20:30.m4a", "a").samples) == len(heard(FILES["mp4 aac"]).samples)


def test_a_tag_in_front_of_anything() -> None:
    tag = b"ID3\x04\0\0" + bytes([0, 0, 2, 0]) + bytes(256)
    for name in ("WAV PCM_16", "FLAC PCM_16", "adts aac", "MP3 MPEG_LAYER_III"):
        found = heard(tag + tag + FILES[name])
        assert np.array_equal(found.samples, heard(FILES[name]).samples), name


def test_more_than_one_track_is_said() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        tracks = [out.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in range(2)]
        for track in tracks:
            frame = av.AudioFrame.from_ndarray(np.ones((1, 4_000), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            out.mux(track.encode(frame))
    (note,) = heard(file.getvalue()).notes
    assert note == "it has 2 tracks of sound, of which the first is heard"


def test_a_second_run_of_samples_in_a_wav_is_named() -> None:
    second = b"data" + (32_000).to_bytes(4, "little") + wav(32_000)[44:]
    with pytest.raises(AudioError, match="more follow"):
        heard(wav(32_000) + second)


def test_rf64_whose_sizes_were_never_written() -> None:
    content = bytearray(by_sndfile("RF64", "PCM_16", signal()))
    at = content.find(b"ds64")
    content[at + 8 : at + 32] = bytes(24)
    assert np.array_equal(heard(bytes(content)).samples, signal())


def test_a_channel_by_its_name() -> None:
    assert [channel_of(text) for text in ("mix", "0", "7")] == ["mix", 0, 7]
    for text in ("left", "-1", "1.5", ""):
        with pytest.raises(ValueError, match="channel must be mix or a number"):
            channel_of(text)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"OggS",
        b"fLaC",
        b"fLaC\x00\x00",
        b"ID3",
        b"ID3fLaC",
        b"caff",
        b"hello, world" * 50,
        bytes(5_000),
        b"\xff\xfb" * 900,
        b"<html></html>",
    ],
)
def test_what_is_no_audio_is_refused(content: bytes) -> None:
    with pytest.raises(AudioError, match=None if content else r"empty \(0 bytes\)"):
        heard(content)


def test_damage_is_refused_or_read_but_nothing_else() -> None:
    chance = random.Random(0)
    for name, whole in FILES.items():
        for _ in range(6):
            content = bytearray(whole)
            for _ in range(chance.randint(1, 8)):
                content[chance.randrange(len(content))] = chance.randrange(256)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found, why = outcome(bytes(content))
            assert found is not None or why.startswith("a: "), name

"""Uploads are decoded elsewhere, and a hostile one costs its own request alone."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from melmoat.audio import Recording
from melmoat.decoding import AudioError
from melmoat.server import Limits, decoding
from melmoat.server.answers import Refusal
from melmoat.server.decoding import Decoder

RATE = 16_000
WAVE = np.sin(np.arange(RATE) / 10).astype(np.float32) / 2


def wav(samples: np.ndarray = WAVE, rate: int = RATE) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="wav", subtype="PCM_16")
    return file


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    made = Decoder(RATE, Limits(longest=10))
    made.start()
    yield made
    made.close()


def children(made: Decoder) -> list[int]:
    return [child._process.pid for pool in (made._quick, made._patient) for child in pool._all]


async def several(made: Decoder, *files: io.BytesIO) -> list[object]:
    asked = [made(file, f"{i}.wav") for i, file in enumerate(files)]
    return list(await asyncio.gather(*asked, return_exceptions=True))


def samples(found: object) -> np.ndarray:
    assert isinstance(found, tuple)
    recording, notes = found
    assert isinstance(recording, Recording)
    assert notes == ()
    return recording.audio.wav[0].numpy()


def test_what_comes_back_is_the_recording(decoder: Decoder) -> None:
    found = asyncio.run(several(decoder, *[wav(WAVE * gain) for gain in (1.0, 0.5, 0.25, 0.125)]))
    for gain, one in zip((1.0, 0.5, 0.25, 0.125), found, strict=True):
        assert np.abs(samples(one) - gain * WAVE).max() <= 1 / 32768


def test_a_child_is_used_again_and_small(decoder: Decoder) -> None:
    asyncio.run(several(decoder, wav()))
    before = children(decoder)
    for _ in range(3):
        asyncio.run(several(decoder, wav()))
    assert children(decoder) == before
    assert len(before) == 1
    if sys.platform.startswith("linux"):
        status = Path(f"/proc/{before[0]}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        assert int(resident.split()[1]) < 150_000, "kB; torch alone takes more"


def test_the_child_needs_no_torch() -> None:
    code = "import sys, melmoat.server.child; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_child_that_dies_costs_its_own_request(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of a file, as a fault in the decoder does."""
    sent = decoding.shutil.copyfileobj

    def killed(file: io.BytesIO, pipe: io.BufferedWriter) -> None:
        if file.getvalue() == b"deadly":
            os.kill(children(decoder)[-1], signal.SIGKILL)
            time.sleep(0.1)
        sent(file, pipe)

    monkeypatch.setattr(decoding.shutil, "copyfileobj", killed)
    first, second = asyncio.run(several(decoder, io.BytesIO(b"deadly"))), None
    assert isinstance(first[0], AudioError)
    assert "the decoder broke down" in str(first[0])
    second = asyncio.run(several(decoder, wav()))
    assert len(samples(second[0])) == RATE


def test_a_child_that_was_killed_while_it_waited_costs_nothing(decoder: Decoder) -> None:
    asyncio.run(several(decoder, wav()))
    os.kill(children(decoder)[0], signal.SIGKILL)
    time.sleep(0.1)
    assert len(samples(asyncio.run(several(decoder, wav()))[0])) == RATE


def test_what_takes_long_waits_for_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty pages of Ogg: a megabyte of them takes 0.05 s of CPU. The first try has a tenth of
    that, the second one too: all are refused; and nobody else notices."""
    monkeypatch.setattr(decoding, "QUICK", 0.05)
    monkeypatch.setattr(decoding, "PATIENT", 0.1)
    monkeypatch.setattr(decoding, "SLOW", 1)
    made = Decoder(RATE, Limits(longest=10))
    made.start()
    try:
        long = io.BytesIO(b"OggS" + bytes(22) + b"\0" + (b"OggS" + bytes(23)) * 700_000)
        found = asyncio.run(several(made, long, io.BytesIO(long.getvalue()), wav()))
        slow = [one for one in found[:2] if isinstance(one, AudioError)]
        busy = [one for one in found[:2] if isinstance(one, Refusal)]
        assert "takes more than 0.1 s" in str(slow[0])
        assert [one.status_code for one in busy] == [503]
        assert len(samples(found[2])) == RATE
    finally:
        made.close()


def test_bad_files_are_refused_with_the_reason(decoder: Decoder) -> None:
    wide = wav(np.zeros((100, 9)))
    fast = wav(WAVE, 200_000)
    long = wav(np.zeros(11 * RATE))
    found = asyncio.run(several(decoder, io.BytesIO(b"no audio"), wide, fast, long))
    for one, told in zip(
        found, ("not readable as audio", "9 channels", "200000 samples a s", "11.0 s"), strict=True
    ):
        assert isinstance(one, AudioError)
        assert told in str(one)


def test_the_children_end_with_the_decoder() -> None:
    made = Decoder(RATE, Limits())
    made.start()
    asyncio.run(several(made, wav()))
    (pid,) = children(made)
    made.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(RuntimeError, match="not running"):
        asyncio.run(made(wav(), "a.wav"))

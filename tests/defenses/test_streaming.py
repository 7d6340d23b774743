"""Live audio: pieces of any sizes give what the whole recording gives."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from melmoat import data, defenses
from melmoat.audio import Audio, AudioError
from melmoat.defenses import FrontEnd, Streamed, front_end
from melmoat.defenses.flooding import Flooding
from melmoat.defenses.resynthesis import Resynthesis
from melmoat.defenses.streaming import STREAMABLE
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from tests.defenses.tiny import MEL, tiny_melgan, tiny_pwg

RATE = 16_000
SPECS = [
    "none",
    "wgn:sigma=0.01",
    "median:width=5",
    "smooth:width=1",
    "smooth:width=7",
    "chain:smooth:width=7,then=(chain:wgn:sigma=0.1,then=mulaw)",
    "quantize:step=512,gradient=bpda",
    "mulaw:bits=5",
    "resynth:vocoder={melgan}",
    "resynth:vocoder={pwg}",
    "resynth:vocoder={pwg},noise=fixed",
    "mdnf:vocoder={melgan},level=0.1,shaping={curve}",
    "mdnf:vocoder={melgan},level=0.1,shaping=flat,gradient=resampled",
    "mdnf:vocoder={pwg},level=0.1,shaping=flat,gradient=bpda",
]
LARGEST = [0, 50]  # pieces of one sample each, and of random sizes up to these


@pytest.fixture
def build(vocoder_files: dict[str, str]) -> Callable[[str], FrontEnd]:
    return lambda spec: front_end(spec.format(**vocoder_files))


def sound(samples: int) -> Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(3))


def pieces(wave: Tensor, largest: int) -> Iterator[Tensor]:
    draw, begin = random.Random(largest), 0
    while begin < len(wave):
        size = draw.randint(0, largest) if largest else 1  # some are empty
        yield wave[begin : begin + size]
        begin += size


def joined(live: Streamed, parts: Iterator[Tensor]) -> Tensor:
    out, came = [], 0
    for part in parts:
        out.append(live.push(part))
        came += len(out[-1])
        assert 0 <= live.samples - came <= live.latency, "it lags more than it says"
    return torch.cat([*out, live.finish()])


def agrees(defense: FrontEnd, samples: int, largest: int) -> None:
    wave = sound(samples)
    whole = defense(Audio.of([wave]), Draws([9])).wav[0]
    live = joined(Streamed(defense, RATE, Draws([9])), pieces(wave, largest))
    assert live.shape == whole.shape
    assert torch.allclose(live, whole, atol=1e-6)


@pytest.mark.parametrize("largest", LARGEST)
@pytest.mark.parametrize("spec", SPECS)
def test_pieces_of_any_sizes_give_what_the_whole_gives(
    spec: str, largest: int, build: Callable[[str], FrontEnd]
) -> None:
    for samples in (11, 100, 101):  # the fewest, a whole number of frames, and one more
        agrees(build(spec), samples, largest)


@pytest.mark.parametrize("largest", LARGEST)
@pytest.mark.parametrize("make", [tiny_melgan, tiny_pwg])
def test_so_they_do_where_windows_are_centred_on_first_samples(
    make: Callable, largest: int
) -> None:
    mel = replace(MEL, centred=True, log="e", mean=(1.0,) * 4, scale=(2.0,) * 4)
    for samples in (11, 100, 101):
        agrees(Resynthesis(make(mel), Flooding(0.1)), samples, largest)


def test_what_ships_agrees_on_speech_and_says_its_latency() -> None:
    speech = data.read(list(data.load("demo"))[:1])
    for spec, samples in (("mdnf", 3551), ("mdnf:vocoder=pwg-lab", 2975)):
        defense = front_end(spec)
        live = Streamed(defense, RATE, Draws([4]))
        assert live.latency == samples
        wave = speech.wav[0, :6000]
        whole = defense(Audio.of([wave]), Draws([4])).wav[0]
        out = joined(live, pieces(wave, 3000))
        assert torch.allclose(out, whole, atol=1e-5)


def test_the_latency_is_not_more_than_needed(build: Callable[[str], FrontEnd]) -> None:
    for spec in SPECS[1::3]:
        live, lag = Streamed(build(spec), RATE), 0
        came = 0
        for part in pieces(sound(120), 0):
            came += len(live.push(part))
            lag = max(lag, live.samples - came)
        assert lag == live.latency, spec


def test_what_needs_the_whole_recording_is_refused_and_told_what_can_be(
    build: Callable[[str], FrontEnd],
) -> None:
    whole = ["wgn", "stft", "stft-flood", "filter:low=300", "compress", "lpc", "codec"]
    whole += ["downsample", "denoise:dtln,weights={dtln}", "diffusion:weights={diffusion}"]
    whole += ["resynth:vocoder=griffin-lim"]
    for spec in whole:
        with pytest.raises(MelmoatError, match="none, wgn:sigma="):
            Streamed(build(spec), RATE)
    with pytest.raises(MelmoatError, match="norm=frame, the default, can be"):
        Streamed(build("mdnf:vocoder={melgan},norm=utterance,shaping=flat"), RATE)
    with pytest.raises(MelmoatError, match="send 22050 Hz, not 16000 Hz"):
        Streamed(build("resynth:vocoder={melgan22k}"), RATE)
    named = set(re.findall("[a-z]+", STREAMABLE))
    others = {spec.partition(":")[0] for spec in whole[1:-1]} | {"python", "room", "rs", "voted"}
    others |= {"neural-codec"}
    assert named & set(defenses.DEFENSES.names) == set(defenses.DEFENSES.names) - others


def test_a_bad_stream_is_refused(build: Callable[[str], FrontEnd]) -> None:
    live = Streamed(build("mdnf:vocoder={melgan},shaping=flat"), RATE)
    with pytest.raises(AudioError, match="NaN or Inf"):
        live.push(torch.tensor([float("nan")]))
    with pytest.raises(AudioError, match="full scale is 1"):
        live.push(torch.full((3,), 1000.0))
    live.push(torch.zeros(8))
    with pytest.raises(MelmoatError, match="8 samples is too short: at least 11"):
        live.finish()
    with pytest.raises(ValueError, match="has been finished"):
        live.push(torch.zeros(8))
    empty = Streamed(build("mdnf:vocoder={melgan},shaping=flat"), RATE)
    assert len(empty.push(torch.zeros(0))) == len(empty.finish()) == 0


@pytest.mark.parametrize("wrong", [torch.ones(4, dtype=torch.int16), torch.ones(2, 4)])
def test_what_are_no_samples_of_one_channel_is_refused(wrong: Tensor) -> None:
    """Quiet 16-bit integers would count as samples far over full scale, two channels as two samples
    of one."""
    with pytest.raises(AudioError, match="the samples of one channel as floats"):
        Streamed(front_end("wgn:sigma=0.01")).push(wrong)


def test_noise_of_a_fixed_level_is_as_loud_as_it_says() -> None:
    for loud in (0.0, 0.3):
        heard = front_end("wgn:sigma=0.02")(Audio.of([loud * torch.ones(RATE)]), Draws([1]))
        assert (heard.wav - loud).std().item() == pytest.approx(0.02, rel=0.02)
    for spec, said in (("sigma=0", "positive"), ("sigma=0.1,snr=10", "leave out snr")):
        with pytest.raises(MelmoatError, match=said):
            front_end(f"wgn:{spec}")


def test_a_stream_of_any_length_holds_little(build: Callable[[str], FrontEnd]) -> None:
    live = Streamed(build("mdnf:vocoder={pwg},shaping=flat"), RATE)
    stage = live._stage

    def held() -> int:
        everything = {**vars(stage), **vars(stage._frames)}  # type: ignore[attr-defined]
        return sum(
            v.untyped_storage().nbytes() for v in everything.values() if isinstance(v, Tensor)
        )

    sizes = []
    for _ in range(6):
        live.push(sound(4000))
        sizes.append(held())
    assert sizes[-1] <= max(sizes[:2])

"""The denoiser that ships takes noise out of speech it has not heard, and is exact in a batch."""

import json

import pytest
import torch

from melmoat import data
from melmoat.assets import asset
from melmoat.audio import Audio
from melmoat.defenses import GaussianNoise, front_end
from melmoat.defenses.diffusion import SHIPPED
from melmoat.draws import Draws
from melmoat.weights import read_header


@pytest.fixture(scope="module")
def speech() -> Audio:
    return data.read(list(data.load("demo"))[::4])


def test_size_and_card() -> None:
    path = asset(SHIPPED)
    assert path.stat().st_size <= 1_500_000
    header = read_header(path)
    assert header["card"]["trained_on"]
    assert header["card"]["held_out_gain_10db"] > 9
    assert '"/' not in json.dumps(header)  # no path of the machine that trained it


@pytest.mark.parametrize(("snr", "rise"), [(0, 8), (10, 6), (20, 3)])
def test_it_raises_the_snr_of_speech_of_another_corpus(
    speech: Audio, snr: float, rise: float
) -> None:
    draws = Draws(range(len(speech)))
    noise = GaussianNoise(snr).deviation(speech)
    made = front_end(f"diffusion:snr={snr}")(speech, draws).wav
    left = (made - speech.wav).square().sum(1) / speech.lengths
    risen = 10 * torch.log10(noise.square() / left)
    assert risen.mean() > rise


def test_a_ragged_batch_equals_its_singles(speech: Audio) -> None:
    front = front_end("diffusion:snr=10,steps=2")
    heard = front(speech, Draws(range(len(speech)))).wav
    for i, wave in enumerate(speech):
        alone = front(Audio.of([wave]), Draws([i])).wav[0]
        assert torch.allclose(heard[i, : len(wave)], alone, atol=2e-5)

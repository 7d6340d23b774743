"""The vocoders that ship are as good as their cards say, and exact in ragged batches."""

import json
import math

import pytest
import torch

from melmoat import data, defenses, vocoders
from melmoat.assets import asset
from melmoat.audio import Audio
from melmoat.defenses.resynthesis import Resynthesis
from melmoat.draws import Draws
from melmoat.spectral import frame_mask
from melmoat.weights import read_header

SHIPPED = {"melgan-lab": 0.6, "pwg-lab": 0.9}  # bound of the log-mel difference in nats


@pytest.fixture(scope="module")
def speech() -> Audio:
    return data.read(list(data.load("demo"))[::4])


@pytest.mark.parametrize("name", SHIPPED)
def test_size_and_card(name: str) -> None:
    path = asset(f"{name}.safetensors")
    assert path.stat().st_size <= 6_000_000
    header = read_header(path)
    assert header["card"]["trained_on"]
    assert '"/' not in json.dumps(header)  # no path of the machine that trained it


@pytest.mark.parametrize("name", SHIPPED)
def test_resynthesised_speech_has_nearly_the_same_mel(name: str, speech: Audio) -> None:
    front = Resynthesis(vocoders.load(name))
    with torch.no_grad():
        mel, frames = front.vocoder.mel(speech)
        made, _ = front.vocoder.mel(front(speech, Draws(range(len(speech)))))
    inside = frame_mask(frames, mel.shape[-1])[:, None].expand_as(mel)
    assert (mel - made)[inside].abs().mean() * math.log(10) < SHIPPED[name]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_ragged_batch_equals_its_singles(name: str, speech: Audio) -> None:
    flooded = defenses.front_end(f"mdnf:vocoder={name},level=0.15")
    heard = flooded(speech, Draws(range(len(speech)))).wav
    for i, wave in enumerate(speech):
        alone = flooded(Audio.of([wave]), Draws([i])).wav[0]
        assert torch.allclose(heard[i, : len(wave)], alone, atol=2e-5)

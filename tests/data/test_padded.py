import math

import pytest
import torch

from melmoat import data
from melmoat.attacks.budgets import SNR
from melmoat.audio import Audio
from melmoat.bench.cell import Cell
from melmoat.data import CORPORA
from melmoat.data.corpora import CorpusError


def test_silence_stands_around_the_same_utterances() -> None:
    plain, padded = (
        list(data.load("demo"))[:2],
        list(data.load("padded:demo,before=0.5,after=1"))[:2],
    )
    assert [cut.id for cut in plain] == [cut.id for cut in padded]
    assert [data.written(cut) for cut in plain] == [data.written(cut) for cut in padded]
    for cut, other in zip(plain, padded, strict=True):
        wave, longer = (data.recording(one).audio.wav[0] for one in (cut, other))
        assert torch.equal(longer[8_000:-16_000], wave)
        assert longer[:8_000].eq(0).all()
        assert longer[-16_000:].eq(0).all()


def test_a_perturbation_keeps_its_snr_over_the_speech() -> None:
    cut, other = (next(iter(data.load(spec))) for spec in ("demo", "padded:demo,after=2"))
    radii = [
        float(SNR(20.0).radius(Audio.of([data.recording(one).audio.wav[0]])))
        for one in (cut, other)
    ]
    assert math.isclose(*radii, rel_tol=1e-3)  # the mean, which does not count, is spread


def test_padding_adds_up_and_counts_in_the_key() -> None:
    cut = next(iter(data.load("padded:(padded:demo,after=1),before=1")))
    assert cut.custom["silence"] == (1.0, 1.0)
    specs = ["demo", "padded:demo,after=1", "padded:demo,after=2"]
    cells = [Cell("ds2-an4", "none", "none", str(CORPORA.parse(spec))) for spec in specs]
    assert len({cell.key for cell in cells}) == 3


@pytest.mark.parametrize("options", ["", ",before=-1", ",after=0"])
def test_no_silence_is_refused(options: str) -> None:
    with pytest.raises(CorpusError, match="seconds"):
        data.load(f"padded:demo{options}")

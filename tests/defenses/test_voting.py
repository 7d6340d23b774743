"""Votes over the passes of a front-end."""

import pytest
import torch

from melmoat import defenses
from melmoat.analysis.variants import facts, siblings
from melmoat.audio import Audio
from melmoat.bench.cell import Cell
from melmoat.defenses import front_end
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from melmoat.spec import SpecError
from melmoat.standard.subject import declared, variants

TEXTS = ["GO ON", "ENTER SIX", "A"]
SEEDS = (5, 6, 7)


@pytest.mark.parametrize("vote", ["mean", "rover"])
def test_votes_over_white_noise_are_randomized_smoothing(
    tiny: DeepSpeech2, ragged: Audio, vote: str
) -> None:
    smoothing, votes = (
        defenses.build(f"{spec},votes=3,vote={vote}").wrap(tiny)
        for spec in ("rs:snr=10", "voted:wgn:snr=10")
    )
    assert votes.transcribe(ragged, Draws(SEEDS)) == smoothing.transcribe(ragged, Draws(SEEDS))
    losses = [s.loss(ragged, TEXTS, Draws(SEEDS)) for s in (smoothing, votes)]
    assert torch.equal(*losses)


def test_votes_over_floodings_differ_and_their_loss_has_a_gradient(
    tiny: DeepSpeech2, ragged: Audio, vocoder: str
) -> None:
    spec = f"mdnf:vocoder=({vocoder}),level=0.3,shaping=flat"
    voted = defenses.build(f"voted:({spec}),votes=3").wrap(tiny)
    wav = ragged.wav.clone().requires_grad_()
    losses = voted.loss(Audio(wav, ragged.lengths), TEXTS, Draws(SEEDS))
    (slope,) = torch.autograd.grad(losses.sum(), wav)
    assert slope.any(1).all()
    once = front_end(spec).wrap(tiny).loss(ragged, TEXTS, Draws(SEEDS))
    assert not torch.allclose(losses, once)


def test_only_passes_that_differ_can_vote() -> None:
    with pytest.raises(MelmoatError, match="all passes of 'median' are the same"):
        defenses.build("voted:median")
    with pytest.raises(MelmoatError, match="'rs' is not a function of audio"):
        defenses.build("voted:rs")
    with pytest.raises(SpecError, match="unknown defense 'nothing'"):
        defenses.build("voted:nothing")
    with pytest.raises(SpecError, match="votes must be at least 1"):
        defenses.build("voted:wgn,votes=0")


def test_voters_are_a_part_of_the_cell() -> None:
    specs = ["voted:stft-flood", "voted:stft-flood:level=0.2", "voted:stft-flood,votes=6"]
    cells = [Cell("ds2-an4", spec, "none", "demo") for spec in specs]
    assert len({cell.key for cell in cells}) == 3


def test_a_voter_with_another_gradient_is_the_same_system() -> None:
    exact = "voted:stft-flood:level=0.2,votes=6"
    bpda = "voted:(stft-flood:level=0.2,gradient=bpda),votes=6"
    assert siblings(bpda) == ("bpda", exact)
    assert siblings(exact) == ("exact", exact)
    assert variants(exact, defenses.build(exact)) == {
        "bpda": bpda,
        "resampled": bpda.replace("bpda", "resampled"),
    }
    assert variants("voted:wgn", defenses.build("voted:wgn")) == {}


def test_nobody_runs_the_code_of_a_voter_of_ones_own() -> None:
    spec = "voted:python:melmoat_no_such_module:Own"
    assert facts(spec) == (None, None)
    assert declared(defenses.build("voted:wgn")) == (True, True)
    with pytest.raises(MelmoatError, match="melmoat_no_such_module"):
        defenses.build(spec).wrap(None)  # type: ignore[arg-type]

"""One defense after another."""

from itertools import pairwise

import pytest
import torch

from melmoat import defenses
from melmoat.analysis.variants import facts, informed, siblings
from melmoat.audio import Audio
from melmoat.bench.cell import Cell
from melmoat.defenses import approximates, declared, front_end
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from melmoat.standard.subject import variants

SEEDS = (5, 6, 7)
TEXTS = ["GO ON", "ENTER SIX", "A"]


def heard(spec: str, audio: Audio) -> torch.Tensor:
    return front_end(spec)(audio, Draws(SEEDS)).wav


def test_the_second_hears_what_the_first_made(ragged: Audio) -> None:
    first = front_end("mulaw:bits=4")(ragged, Draws(SEEDS))
    both = front_end("smooth:width=5")(first, Draws(SEEDS)).wav
    assert torch.equal(heard("chain:mulaw:bits=4,then=smooth:width=5", ragged), both)
    assert not torch.equal(heard("chain:smooth:width=5,then=mulaw:bits=4", ragged), both)


def test_two_noises_are_two(ragged: Audio) -> None:
    """Were both drawn from one stream, their sum would have twice the amplitude of one."""
    quiet = Audio(torch.zeros(3, 16_000), torch.tensor([16_000] * 3))
    sums = heard("chain:wgn:sigma=0.1,then=wgn:sigma=0.1", quiet)
    assert sums.std(1) == pytest.approx([0.1 * 2**0.5] * 3, rel=0.03)


def test_what_it_declares_is_of_all_links(codec: object, ragged: Audio) -> None:
    known = {
        "chain:smooth,then=median": (False, True),
        "chain:smooth,then=wgn": (True, True),
        "chain:mulaw,then=wgn": (True, False),
        "voted:(chain:mulaw,then=wgn)": (True, False),
    }
    for spec, both in known.items():
        assert declared(defenses.build(spec)) == facts(spec) == both
    assert front_end("chain:median,then=wgn:level=file").dilutes
    assert not approximates(defenses.build("chain:mulaw,then=wgn"))


def test_a_vote_over_a_chain_has_a_gradient_through_all_passes(
    tiny: DeepSpeech2, ragged: Audio
) -> None:
    voted = defenses.build("voted:(chain:smooth,then=wgn),votes=3").wrap(tiny)
    wav = ragged.wav.clone().requires_grad_()
    losses = voted.loss(Audio(wav, ragged.lengths), TEXTS, Draws(SEEDS))
    assert torch.autograd.grad(losses.sum(), wav)[0].any(1).all()


def test_attackers_follow_the_gradient_that_each_link_has() -> None:
    """BPDA stands in for the link that has none; the other keeps its own."""
    spec = "chain:mulaw,then=stft-flood:level=0.2"
    found = variants(spec, defenses.build(spec))
    assert found == {
        "bpda": "chain:mulaw:gradient=bpda,then=stft-flood:level=0.2",
        "resampled": "chain:mulaw:gradient=bpda,then=(stft-flood:level=0.2,gradient=resampled)",
    }
    assert informed(spec) == found["bpda"]
    for other in (*found.values(), "chain:mulaw:gradient=bpda,then=stft-flood:gradient=bpda"):
        assert siblings(other)[0] in ("bpda", "resampled")
        assert siblings(other)[1].startswith("chain:mulaw,then=stft-flood")
    smooth = "chain:stft-flood,then=stft-flood:level=0.2"
    assert set(variants(smooth, defenses.build(smooth))) == {"bpda", "resampled"}


def test_a_vote_over_a_chain_and_a_chain_in_one_have_them_too() -> None:
    """Without one, an attacker would follow a gradient that is zero."""
    for spec in ("voted:(chain:mulaw,then=wgn)", "chain:wgn,then=(chain:mulaw,then=median)"):
        found = variants(spec, defenses.build(spec))
        assert found == {"bpda": spec.replace("mulaw", "mulaw:gradient=bpda")}


def test_other_gradients_of_a_chain_are_not_zero() -> None:
    """Through the last iterations of a vocoder, behind a link that has no gradient."""
    spec = "chain:mulaw,then=resynth:vocoder=griffin-lim"
    found = variants(spec, defenses.build(spec))
    assert found["through"] == (
        "chain:mulaw:gradient=bpda,then=resynth:vocoder=griffin-lim:through=2"
    )


@pytest.mark.parametrize(
    ("spec", "best"),
    [
        ("mulaw", "mulaw:gradient=bpda"),
        ("voted:(chain:mulaw,then=wgn)", "voted:(chain:mulaw:gradient=bpda,then=wgn)"),
        ("chain:median,then=wgn", "chain:median,then=wgn"),
        ("chain:stft-flood:gradient=bpda,then=wgn", "chain:stft-flood,then=wgn"),
    ],
)
def test_an_informed_attacker_has_bpda_where_no_gradient_flows(spec: str, best: str) -> None:
    assert informed(spec) == informed(best) == best


def test_the_links_of_a_chain_are_a_part_of_the_cell() -> None:
    specs = ["chain:wgn,then=mulaw", "chain:mulaw,then=wgn", "chain:wgn:snr=3,then=mulaw", "wgn"]
    assert len({Cell("ds2-an4", spec, "none", "demo").key for spec in specs}) == 4


def test_its_stream_is_as_late_as_all_its_links() -> None:
    def latency(spec: str) -> int:
        return front_end(spec).stream(16_000, Draws([0])).latency

    sizes = ["smooth:width=5", "median:width=9", "mulaw"]
    for first, then in pairwise(sizes):
        assert latency(f"chain:{first},then={then}") == latency(first) + latency(then)


def test_a_vote_is_no_link() -> None:
    with pytest.raises(MelmoatError, match=r"'rs' is not a function of audio.*voted:"):
        front_end("chain:mulaw,then=rs")


def test_nobody_runs_the_code_of_a_link_of_ones_own() -> None:
    spec = "chain:mulaw,then=python:melmoat_no_such_module:Own"
    assert facts(spec) == (None, None)
    with pytest.raises(MelmoatError, match="melmoat_no_such_module"):
        front_end(spec)

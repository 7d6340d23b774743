"""The attack on defenses that round the samples."""

from itertools import product

import pytest
import torch
from torch import Tensor

from melmoat import attacks, defenses
from melmoat.attacks import Untargeted
from melmoat.attacks.base import AttackError
from melmoat.attacks.budgets import to_pcm16
from melmoat.attacks.lattice import Crossings
from melmoat.audio import Audio
from melmoat.defenses import Chained, FrontEnd, Rounding, StraightThrough
from melmoat.draws import Draws
from melmoat.models.base import Recognizer
from melmoat.models.wrappers import Monitored, Wrapper
from tests.attacks.toys import Frames

SPECS = ["quantize:step=4095,gradient=bpda", "mulaw:bits=4,gradient=bpda"]


def rounding(spec: str) -> Rounding:
    found = defenses.front_end(spec).rounding
    assert found is not None
    return found


def speech(samples: int = 6_400, seed: int = 0) -> Audio:
    generator = torch.Generator().manual_seed(seed)
    return Audio.of([0.2 * torch.randn(samples, generator=generator)]).quantized()


@pytest.mark.parametrize("spec", SPECS)
def test_no_other_choice_of_levels_that_costs_as_little_does_more(spec: str) -> None:
    one, reach = rounding(spec), 2
    for seed in range(20):
        clean = speech(5, seed)
        score = torch.randn(1, 5, generator=torch.Generator().manual_seed(100 + seed))
        delta = Crossings(one, clean, reach).cheapest(score, torch.full((1,), 0.12))

        def value(move: Tensor, score: Tensor = score, clean: Audio = clean) -> float:
            heard = one(clean.with_wav(clean.wav + move), Draws([0]))
            return float((score * heard.wav).double().sum())

        own = torch.round(one.scale(clean.wav))[0]
        ways = []  # of each sample: the nearest point of each level
        for place, x in zip(own.tolist(), clean.wav[0].tolist(), strict=True):
            grid = torch.arange(-32_768, 32_769) / 32_768
            levels = torch.round(one.scale(grid))
            points = [grid[levels == place + step] - x for step in range(-reach, reach + 1)]
            ways.append([float(p[p.abs().argmin()]) for p in points if len(p)])
        cost = float(delta.square().sum())
        every = (torch.tensor([moves]) for moves in product(*ways))
        least = min(value(m) for m in every if float(m.square().sum()) <= cost * (1 + 1e-5))
        assert value(delta) == pytest.approx(least, abs=1e-5)


@pytest.mark.parametrize("spec", SPECS)
def test_what_moves_is_heard_a_level_away_and_stays_so_in_a_file(spec: str) -> None:
    one, clean = rounding(spec), speech()
    score = torch.randn(clean.wav.shape, generator=torch.Generator().manual_seed(1))
    radius = clean.centred.norm(dim=1) / 10
    delta = Crossings(one, clean, 4).cheapest(score, radius)

    before, after = (torch.round(one.scale(clean.wav + move)) for move in (0, delta))
    assert torch.equal(after != before, delta != 0)
    assert ((after - before) * score <= 0).all()
    assert 0.99 < float(delta.norm() / radius) <= 1
    budget = attacks.build("lattice:db=20").budget
    assert budget is not None
    assert torch.equal(to_pcm16(delta, clean, budget).wav, clean.wav + delta)


@pytest.mark.parametrize("spec", SPECS)
def test_in_the_box_every_sample_takes_the_last_level_within_reach(spec: str) -> None:
    one, clean, eps = rounding(spec), speech(), 1_638 / 32_768
    score = torch.randn(clean.wav.shape, generator=torch.Generator().manual_seed(1))
    delta = Crossings(one, clean, 50).within(score, torch.full((1,), eps))

    assert float(delta.abs().max()) <= eps
    edge = (clean.wav - eps * score.sign()).clamp(-1, 1)
    furthest, found = (torch.round(one.scale(wav)) for wav in (edge, clean.wav + delta))
    assert (furthest != torch.round(one.scale(clean.wav))).any()
    assert torch.equal(found, furthest)


@pytest.mark.parametrize("spec", SPECS)
def test_it_breaks_more_than_small_steps(spec: str) -> None:
    """Most of what gradient descent moves is rounded away."""
    model = Monitored(defenses.build(spec).wrap(Frames()), lambda: None)  # through wrappers, too
    clean, goal = speech(), Untargeted(["GO ON"])

    def gain(attack: str) -> float:
        made = attacks.build(f"{attack}:db=45,steps=20")(model, clean, goal, Draws([1]))
        return float(goal.loss(model, clean, Draws([1])) - goal.loss(model, made, Draws([1])))

    assert gain("lattice") > 2 * gain("apgd") > 0


def test_what_rounds_nothing_is_refused() -> None:
    for spec in ("none", "mulaw", "median", "chain:median,then=(mulaw:gradient=bpda)"):
        with pytest.raises(AttackError, match="gradient=bpda"):
            run(defenses.build(spec).wrap(Frames()))


class Dithered(Rounding):
    """Something is done before the rounding."""

    def scale(self, wav: Tensor) -> Tensor:
        return wav * 32

    def level(self, places: Tensor) -> Tensor:
        return places / 32

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return super().__call__(audio.with_wav(audio.wav + 0.01), draws)


class Named(FrontEnd):
    """Another meaning of the word."""

    rounding = "floor"  # type: ignore[assignment]

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio


class Louder(Wrapper):
    """Changes the audio before its recognizer rounds it."""

    def transformed(self, audio: Audio, draws: Draws) -> tuple[Audio, Draws]:
        return audio.with_wav(2 * audio.wav), draws


def test_what_rounds_first_is_found_and_nothing_else() -> None:
    law = rounding("mulaw:gradient=bpda")
    chained = StraightThrough(Chained([law, defenses.front_end("median")]))
    assert chained.rounding is law
    assert StraightThrough(chained).rounding is law
    assert StraightThrough(Chained([defenses.front_end("median"), law])).rounding is None
    assert StraightThrough(Dithered()).rounding is None
    with pytest.raises(AttackError, match="gradient=bpda"):
        run(Named().wrap(Frames()))
    with pytest.raises(AttackError, match="gradient=bpda"):
        run(Louder(StraightThrough(law).wrap(Frames())))
    run(StraightThrough(law).wrap(Frames()))


def run(model: Recognizer) -> None:
    attacks.build("lattice:db=20,steps=1")(model, speech(), Untargeted(["GO ON"]), Draws([1]))


def test_no_sample_goes_where_a_16_bit_file_cannot() -> None:
    one = rounding("quantize:step=3,gradient=bpda")
    clean = Audio.of([torch.arange(32_700, 32_768) / 32_768])
    delta = Crossings(one, clean, 4).cheapest(-torch.ones_like(clean.wav), torch.ones(1))
    assert delta.any()
    made = clean.with_wav(clean.wav + delta)
    assert torch.equal(made.quantized().wav, made.wav)


def test_the_first_link_of_a_chain() -> None:
    model = defenses.build("chain:(mulaw:bits=4,gradient=bpda),then=median").wrap(Frames())
    clean, goal = speech(), Untargeted(["GO ON"])
    out = attacks.build("lattice:db=30,steps=5")(model, clean, goal, Draws([1]))
    assert goal.loss(model, out, Draws([1])) < goal.loss(model, clean, Draws([1]))

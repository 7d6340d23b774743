"""Center smoothing: the ball, the certificate, and that what it says is true on a toy."""

import itertools

import numpy as np
import pytest

from melmoat.certificates.bounds import STANDARD
from melmoat.certificates.centers import Center, center_of, distances, enclosing_ball, steps
from melmoat.certificates.plan import Plan
from melmoat.certificates.sampling import Sampler, smoothed
from melmoat.errors import MelmoatError
from melmoat.metrics import word_edits
from tests.certificates.toys import Linear, along

TEXTS = ["", "GO", "GO ON", "STOP", "GO STOP NOW", "NOW GO ON", "ON GO"]


def test_the_distance_is_a_metric() -> None:
    for a, b, c in itertools.product(TEXTS, repeat=3):
        to_b, to_c = distances(a, {b: 1}), distances(a, {c: 1})
        (ab,), (ac,), (bc,) = to_b, to_c, distances(b, {c: 1})
        assert ab == word_edits(a, b)[0]
        assert (ab == 0) == (a == b)
        assert [ab] == list(distances(b, {a: 1}))
        assert ac <= ab + bc


def test_the_ball_is_at_most_twice_the_smallest_one() -> None:
    generator = np.random.default_rng(0)
    every = [" ".join(words) for n in range(4) for words in itertools.product("AB", repeat=n)]
    for _ in range(30):
        drawn = {str(t): int(generator.integers(1, 9)) for t in generator.choice(every, 6, False)}
        half = sum(drawn.values()) / 2

        def radius(center: str, drawn: dict[str, int] = drawn, half: float = half) -> int:
            held = itertools.accumulate(distances(center, drawn).values())
            return next(r for r, n in zip(distances(center, drawn), held, strict=True) if n >= half)

        center, found = enclosing_ball(drawn)
        assert found == radius(center) == min(map(radius, drawn))
        assert found <= 2 * min(map(radius, every))


def test_a_center_is_checked_with_fresh_draws() -> None:
    plan = Plan(0.1, 1000, 1)
    center = center_of({"GO": 6, "GO ON": 3, "STOP NOW": 1}, {"GO": 500, "STOP": 500})
    assert center == Center("GO", 0, 0.5)
    assert plan.slack < plan.delta < 0.11
    assert not center.abstains(plan)
    least = 0.5 + plan.slack - plan.delta
    assert not Center("GO", 0, least + 1e-9).abstains(plan)
    assert Center("GO", 0, least - 1e-9).abstains(plan)


def test_the_certificate_is_that_of_the_papers_algorithm_2() -> None:
    plan = Plan(0.1, 1000, 1, delta=0.08)
    found = {0: 700, 1: 200, 2: 60, 5: 40}
    for words, radius in steps(found, plan):
        p = STANDARD.cdf(STANDARD.inv_cdf(0.58) + radius / 0.1)
        quantile = p + np.sqrt(np.log(1 / plan.alpha_center) / (2 * 1000))
        values = np.repeat(list(found), list(found.values()))
        share = (values <= words / 3).mean()
        assert share == pytest.approx(quantile)
    assert [words for words, _ in steps(found, plan)] == [0, 3, 6, 15]
    shorter = [radius for _, radius in steps(found, plan, lost=0.001)]
    assert shorter == pytest.approx([radius - 0.001 for _, radius in steps(found, plan)])
    assert steps({0: 600, 1: 400}, plan)[0][0] == 3  # 0 words: below 1/2 + Delta + margin


SIGMA, STEP, SCORE = 0.1, 0.05, 0.51


def test_on_a_toy_the_bound_is_true_and_not_far_from_what_can_be_proved() -> None:
    model, plan = Linear(STEP), Plan(SIGMA, 3000, 1, center_draws=600)
    sampler = Sampler(model, along(SCORE), SIGMA, seed=1, batch=1000)
    center, _ = sampler.smooth(plan)
    assert center.transcript == model.of(SCORE)
    found = steps(distances(center.transcript, sampler("certify", 3000)), plan)
    assert found[-1][1] > 1.3 * SIGMA
    for words, radius in found:
        worst = word_edits(model.of(SCORE), model.of(SCORE - radius))[0]
        assert worst <= words
        # What infinitely many draws would give, with the same Delta.
        high = STEP * (words / 3 + 0.5) / SIGMA
        mass = STANDARD.cdf(high) - STANDARD.cdf(-high)
        best = SIGMA * (STANDARD.inv_cdf(mass) - STANDARD.inv_cdf(0.5 + plan.delta))
        assert radius <= best
        if words >= 6 and mass < 0.95:
            assert radius > best - 0.25 * SIGMA


@pytest.mark.parametrize("share", [-0.999, 0.999])
def test_no_attack_within_the_radius_moves_the_smoothed_transcript_further(share: float) -> None:
    model, plan = Linear(STEP), Plan(SIGMA, 1000, 1, center_draws=400)
    sampler = Sampler(model, along(SCORE), SIGMA, seed=2, batch=1000)
    center, _ = sampler.smooth(plan)
    found = steps(distances(center.transcript, sampler("certify", 1000)), plan)
    for words, radius in (found[0], found[-1]):
        moved = smoothed(model, along(SCORE + share * radius), plan, seed=7, batch=1000)
        assert moved is not None
        assert word_edits(center.transcript, moved)[0] <= words


def test_it_abstains_where_no_transcript_has_half_of_the_draws() -> None:
    slack = Plan(SIGMA, 200, 1, confidence=90).slack
    plan = Plan(SIGMA, 200, 1, confidence=90, delta=slack * 1.001)  # no room for chance
    split = [smoothed(Linear(), along(0.0), plan, seed, 200) for seed in range(4, 10)]
    assert 0 < split.count(None) < 6
    assert smoothed(Linear(), along(2 * SIGMA), plan, 0, 200) == "yes"


def test_too_few_draws_are_refused_with_a_number_that_is_enough() -> None:
    with pytest.raises(MelmoatError, match=r"30 draws .* take at least (\d+) of each") as error:
        Plan(0.1, 30, 8)
    enough = int(str(error.value).split("at least ")[1].split()[0])
    assert Plan(0.1, enough, 8).draws == enough
    with pytest.raises(MelmoatError, match="too few"):
        Plan(0.1, enough - 1, 8)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sigma": 0}, "sigma must be"),
        ({"confidence": 100}, "percentage below 100"),
        ({"delta": 0.5}, "below 1/2"),
        ({"utterances": 0}, "at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(MelmoatError, match=says):
        Plan(**{"sigma": 0.1, "draws": 1000, "utterances": 1, **wrong})  # type: ignore[arg-type]

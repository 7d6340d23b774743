"""Training one perturbation for all utterances of a corpus (Neekhara et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from melmoat import __version__, data, defenses, models
from melmoat.attacks import ATTACKS, ThreatModel
from melmoat.attacks.base import AttackError, Goal, adapt_goal, is_from_corpus
from melmoat.attacks.oracle import LossOracle
from melmoat.attacks.universal import Pattern, Where
from melmoat.bench.cell import identity
from melmoat.bench.worker import choose, plan
from melmoat.defenses import DEFENSES
from melmoat.devices import CPU, usable
from melmoat.draws import Draws, derive
from melmoat.errors import MelmoatError
from melmoat.models import MODELS
from melmoat.models.base import as_written_by
from melmoat.training.splits import provenance

START = 0.1  # largest sample of the random pattern that training begins with
STEP = 0.1  # first step; the steps fall linearly to zero
MOMENTUM = 0.9
NOTHING = (  # would be learnt
    "so the pattern would stay the random one that it begins with; give the attacker another "
    "gradient of the defense, such as gradient=bpda"
)


def train_universal(
    model: str,
    budget: str,
    corpus: str,
    defense: str = "none",
    seconds: float = 3.0,
    epochs: int = 10,
    limit: int = 0,
    batch: int = 8,
    seed: int = 0,
    tick: Callable[[float], None] = lambda _: None,
    device: str = CPU,
    where: Where = "everywhere",
) -> tuple[Pattern, dict[str, Any], dict[str, Any]]:
    """Train a pattern by signed gradient steps with momentum, one step per batch of utterances.

    The source moves to the success of each utterance in turn. Here every utterance of a batch has
    the same weight, whatever the size of its gradient, so an utterance that is already
    misrecognized does not dominate.

    Args:
        model, corpus, defense: specs; the utterances are spread evenly over the corpus.
        budget: the budget and the goal as in an attack's spec, such as ``norm=snr,db=20``.
        seconds: length of the pattern.
        epochs: passes over the corpus.
        limit: utterances (0 = all).
        tick: called with the number of utterances that were just finished.
        device: device to compute on, such as ``cuda``.
        where: as for :class:`Pattern`. For ``prefix``, ``corpus`` must begin with silence, such as
            ``padded:CORPUS,before=SECONDS``.

    Returns:
        the pattern, the keys of its budget and goal, and its card.

    Raises:
        AttackError: each utterance would have its own target, or no gradient reaches the pattern.
    """
    usable(device)
    ball = ATTACKS.build(f"noise:{budget}")
    assert isinstance(ball, ThreatModel)
    if ball.target is not None and is_from_corpus(ball.target):
        raise AttackError(
            f"target={ball.target} gives each utterance a target of its own, but one pattern has "
            "one target for all utterances: target=TEXT"
        )
    made = defenses.build(defense)
    if defenses.declared(made)[1] is False and not defenses.approximates(made):
        raise AttackError(f"no gradient flows through {defense}, {NOTHING}")
    system = made.wrap(models.load(model))
    groups = plan(choose(list(data.load(corpus)), limit, "spread"), batch)
    rng = np.random.default_rng([seed, 7])
    start = rng.uniform(-START, START, max(1, round(seconds * system.rate)))
    pattern = Pattern(torch.tensor(start, dtype=torch.float32), system.rate, where)
    velocity = torch.zeros_like(pattern.samples)
    total = epochs * len(groups)
    reached, losses, heard = 0, 0.0, 0
    for number in range(total):
        epoch, place = divmod(number, len(groups))
        if place == 0:
            order = rng.permutation(len(groups)).tolist()
            reached, losses, heard = 0, 0.0, 0
        group = groups[order[place]]
        audio = data.read(group, system.rate).to(device).quantized()
        draws = Draws(derive(seed, epoch, cut.id) for cut in group)
        references = [as_written_by(system, data.written(cut)) for cut in group]
        from_benign = ball.target is None and ball.against == "benign"
        benign = system.transcribe(audio, draws.fork("benign")) if from_benign else references
        goal: Goal = ball.goal(benign, references)
        goal = adapt_goal(goal, system)
        loud = (ball.budget.radius(audio) > 0).nonzero().flatten().tolist()
        if loud:  # silence has no room for a perturbation
            audio, goal, draws = audio.pick(loud), goal.pick(loud), draws.pick(loud)
            delta = pattern.on(audio, ball.budget)
            try:
                look = LossOracle(system, audio, goal, listen=epoch == epochs - 1)(
                    delta.detach(), draws.fork("look")
                )
            except MelmoatError as error:  # such as a target that is too long for one of them
                names = ", ".join(cut.id for cut in group)
                raise AttackError(f"{error} (among {names})") from error
            size = look.gradient.norm(dim=1, keepdim=True).clamp(min=1e-30)
            (slope,) = torch.autograd.grad(delta, pattern.samples, look.gradient / size)
            velocity = MOMENTUM * velocity + slope / slope.abs().mean().clamp(min=1e-30)
            with torch.no_grad():
                pace = STEP * (1 - number / total)
                pattern.samples.sub_(pace * velocity.sign()).clamp_(-1.0, 1.0)
            reached, losses = reached + int(look.reached.sum()), losses + float(look.loss.sum())
            heard += len(audio)
        if place == len(groups) - 1 and not velocity.any():
            raise AttackError(f"no utterance had a gradient, {NOTHING}")
        tick(len(group))
    utterances = sum(len(group) for group in groups)
    return (
        pattern,
        _keys(budget),
        {
            "model": identity(MODELS.parse(model)),
            "defense": identity(DEFENSES.parse(defense)),
            "budget": budget,
            "trained_on": provenance(corpus),
            "utterances": utterances,
            "epochs": epochs,
            "seed": seed,
            "reached_percent": round(100 * reached / utterances, 2),
            "loss": round(losses / max(heard, 1), 3),  # silence has none
            "melmoat": __version__,
        },
    )


def _keys(budget: str) -> dict[str, Any]:
    """The options that ``budget`` gives, defaults left out."""
    spec = ATTACKS.parse(f"noise:{budget}")
    plain = ATTACKS.parse("noise:")
    keys = {k: v for k, v in spec.args.items() if v != plain.args[k]}
    return keys | {"norm": spec.args["norm"]}

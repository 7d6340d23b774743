"""Training with CTC: a DeepSpeech2 from scratch, or a recognizer from its weights.

The recipe is that of deepspeech.pytorch for AN4 (AdamW, SortaGrad's sorted first epoch) with a
shorter cosine schedule, stronger augmentation, and an exponential moving average of the weights.
This average is validated and exported. Fine-tuning for a defense passes a share of the utterances
through it, as the paper does for its vocoders: once before the training, or at each step if the
defense draws noise or is attacked. Adversarial training attacks a share of the examples.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from melmoat import __version__, data, defenses
from melmoat.attacks import ATTACKS
from melmoat.audio import Audio
from melmoat.bench.cell import identity
from melmoat.defenses import DEFENSES, FrontEnd
from melmoat.devices import CPU, usable
from melmoat.draws import Draws, derive
from melmoat.errors import MelmoatError
from melmoat.metrics.errors import char_edits, unit_of, word_edits
from melmoat.models import MODELS
from melmoat.models.base import comparison_of
from melmoat.models.deepspeech2 import DeepSpeech2, DeepSpeech2Config
from melmoat.progress import Progress, silent
from melmoat.training import loop, trainable
from melmoat.training.adversarial import Adversary, adversary
from melmoat.training.augment import FAINTEST, LOUDEST, changed, changes, noisy
from melmoat.training.average import follow
from melmoat.training.defending import defended
from melmoat.training.examples import (
    Utterance,
    check,
    check_shortest,
    fits,
    floats,
    utterances,
)
from melmoat.training.splits import combine, provenance, split_speakers, unheard
from melmoat.training.teaching import Teacher
from melmoat.training.trainable import Trainable, method_of
from melmoat.writing_systems import letters


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run.

    Raises:
        MelmoatError: one of them is out of range.
    """

    epochs: int = 60
    batch: int = 16  # utterances
    lr: float = 1e-3
    weight_decay: float = 1e-2
    clip: float = 100.0  # norm of the gradient of the mean loss
    join: float = 0.2  # share of the utterances that are joined in pairs
    extra: float = 0.5  # extra utterances per epoch, as a share of the main ones
    noise: float = 0.5  # probability of added noise
    loudest: float = LOUDEST  # its SNR in dB
    faintest: float = FAINTEST
    defended: float = 0.7  # share that passes through the defense, if there is one
    teach: float = 1.0  # weight of the teacher's loss, if there is a teacher
    average: float = 0.997  # decay of the moving average of the weights
    seed: int = 0

    def __post_init__(self) -> None:
        loop.check_rate(self.lr)
        for name in ("join", "noise", "defended"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise MelmoatError(f"{name} must lie between 0 and 1, got {share}")
        for name in ("extra", "teach"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise MelmoatError(f"{name} must be finite and not negative, got {value}")
        if not -100 <= self.loudest <= self.faintest < math.inf:
            raise MelmoatError(
                f"loudest {self.loudest:g} and faintest {self.faintest:g} are SNRs in dB of at "
                "least -100, and the loudest noise has the lower one"
            )


class ASRTask:
    """The task for :func:`melmoat.training.loop.run`."""

    def __init__(
        self,
        model: Trainable,
        main: Sequence[Utterance],
        extra: Sequence[Utterance],
        held_out: Sequence[Utterance],
        recipe: Recipe,
        device: str = CPU,
        adversary: Adversary | None = None,
        teacher: Teacher | None = None,
        front_end: FrontEnd | None = None,
    ) -> None:
        self.model, self.recipe, self.device = model.to(device), recipe, device
        self.adversary, self.teacher, self.front_end = adversary, teacher, front_end
        self.average: Trainable = copy.deepcopy(model).eval().requires_grad_(False)
        self.learnt = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.learnt, lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self.main = [u for u in main if fits(u, model)]
        self.extra = [u for u in extra if fits(u, model)]
        if not self.main:
            raise MelmoatError(
                "no text fits into the frames of its utterance: are these the texts of this audio?"
            )
        self.held_out = sorted(held_out, key=lambda u: len(u.wave))
        self.unit = unit_of(letters(u.text) for u in held_out)
        self.drawn = min(len(self.extra), round(recipe.extra * len(self.main)))
        share = recipe.join if method_of(model).joined else 0.0
        self.pairs = int(share * (len(self.main) + self.drawn) / 2)
        examples = len(self.main) + self.drawn - self.pairs
        self.steps_an_epoch = math.ceil(examples / recipe.batch)
        self.steps = recipe.epochs * self.steps_an_epoch
        self._planned: tuple[int, list[list[list[Utterance]]]] = (-1, [])
        self.guard = loop.Guard()

    def plan(self, epoch: int) -> list[list[list[Utterance]]]:
        """The batches of ``epoch``; an example is one utterance or two to be joined.

        Each batch holds examples of similar length; the first epoch goes from short to long.
        """
        rng = np.random.default_rng([self.recipe.seed, 1, epoch])
        chosen = [self.extra[i] for i in rng.permutation(len(self.extra))[: self.drawn]]
        pool = [*self.main, *chosen]
        rng.shuffle(pool)
        paired = 2 * self.pairs
        examples = [[a, b] for a, b in zip(pool[:paired:2], pool[1:paired:2], strict=True)]
        examples += [[u] for u in pool[paired:]]
        jitter = rng.uniform(0.85, 1.15, len(examples)) if epoch else np.ones(len(examples))
        lengths = np.array([sum(len(u.wave) for u in e) for e in examples])
        order = np.argsort(lengths * jitter, kind="stable")
        size = self.recipe.batch
        batches = [[examples[i] for i in order[b : b + size]] for b in range(0, len(order), size)]
        if epoch:
            rng.shuffle(batches)
        return batches

    def step(self, number: int) -> dict[str, float]:
        """One optimiser step on one augmented batch."""
        epoch, index = divmod(number, self.steps_an_epoch)
        if self._planned[0] != epoch:
            self._planned = (epoch, self.plan(epoch))
        rng = np.random.default_rng([self.recipe.seed, 2, number])
        examples = self._planned[1][index]
        texts = [" ".join(u.text for u in example if u.text) for example in examples]
        parts = [[self._samples(u, rng) for u in example] for example in examples]
        rate = self.recipe.lr * loop.cosine((number + 1) / (self.steps + 1))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        audio = Audio.of([torch.cat([heard for heard, _ in pairs]) for pairs in parts])
        audio = audio.to(self.device)
        seed = derive(self.recipe.seed, number)
        audio = self._heard(self.model, audio, texts, seed, self.adversary, self.recipe.defended)
        statistics = [value.clone() for value in self.model.buffers()]  # of batch norm
        log_probs, frames = method_of(self.model).hear(self.model, audio, rng)
        loss = self.model.loss_of(log_probs, frames, texts).mean()
        if self.teacher is not None:
            clean = Audio.of([torch.cat([bare for _, bare in pairs]) for pairs in parts])
            wrong = self.teacher(clean.to(self.device), log_probs)
            loss = loss + self.recipe.teach * wrong.mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.learnt, self.recipe.clip)
        if not self.guard.step(self.optimizer, norm):  # NaN would stay in them for good
            for value, before in zip(self.model.buffers(), statistics, strict=True):
                value.copy_(before)
        follow(self.average, self.model, number, self.recipe.average)
        return {"epoch": epoch, "loss": loss.item(), "norm": norm.item(), "lr": rate}

    def _heard(
        self,
        model: Trainable,
        audio: Audio,
        texts: Sequence[str],
        seed: int,
        adversary: Adversary | None,
        share: float,
    ) -> Audio:
        """What ``model`` hears of ``audio``: attacked, a ``share`` of it through the defense."""
        if self.front_end is not None:
            return defended(audio, texts, model, self.front_end, share, adversary, seed)
        return audio if adversary is None else adversary(model, audio, texts, seed)

    def _samples(self, utterance: Utterance, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """What is learnt from, and what the teacher hears: without the defense and the noise."""
        recipe, wave = self.recipe, utterance.wave
        if utterance.defended is not None and rng.random() < recipe.defended:
            wave = utterance.defended
        change = changes(rng)
        clean = heard = changed(floats(wave), *change)
        if self.teacher is not None and wave is not utterance.wave:
            clean = changed(floats(utterance.wave), *change)
        return noisy(heard, rng, recipe.noise, recipe.loudest, recipe.faintest), clean

    def validate(self) -> dict[str, float]:
        """Greedy WER in percent of the averaged weights on the held-out utterances, or CER if their
        scripts have no spaces between words (:attr:`unit`).

        With a defense, they pass through it (one draw, the same each time), and ``clean_wer`` is
        the WER without it. With an adversary, ``attacked_wer`` is the WER with all of them
        attacked, and then defended.
        """
        waves = [u.wave for u in self.held_out]
        behind = [u.defended for u in self.held_out if u.defended is not None]
        if behind:
            scores = self._wer(behind, "wer") | self._wer(waves, "clean_wer")
        else:
            scores = self._wer(waves, "wer")
        if self.adversary is not None:
            everyone = replace(self.adversary, share=1.0, fade=0.0)
            scores |= self._wer(waves, "attacked_wer", everyone)
        return scores

    def _wer(
        self, waves: Sequence[Tensor], name: str, adversary: Adversary | None = None
    ) -> dict[str, float]:
        edits = words = 0
        same = comparison_of(self.average)
        edits_of = char_edits if self.unit == "chars" else word_edits
        size = min(16, self.recipe.batch) if adversary is not None else 16
        for i in range(0, len(self.held_out), size):
            batch = self.held_out[i : i + size]
            audio = Audio.of([floats(wave) for wave in waves[i : i + size]]).to(self.device)
            if adversary is not None:
                texts = [utterance.text for utterance in batch]
                seed = derive(self.recipe.seed, "held out", i)
                audio = self._heard(self.average, audio, texts, seed, adversary, 1.0)
            hypotheses = self.average.transcribe(audio, Draws([0] * len(batch)))
            for utterance, hypothesis in zip(batch, hypotheses, strict=True):
                wrong, total = edits_of(same(utterance.text), same(hypothesis))
                edits, words = edits + wrong, words + total
        return {name: 100 * edits / words} if words else {}

    def state(self) -> dict[str, Any]:
        """Weights, their average, and the optimiser's moments."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "skipped": self.guard.skipped,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a :meth:`state`."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.guard.skipped = state.get("skipped", 0)  # a run of an older version has none


def train_asr(
    out: Path,
    main: Sequence[str],
    extra: Sequence[str],
    held_out: int,
    config: DeepSpeech2Config,
    recipe: Recipe,
    half: bool = False,
    start: str | None = None,
    defense: str | None = None,
    device: str = CPU,
    attack: str | None = None,
    attacked: float = 1.0,
    fade: float = 0.0,
    teacher: str | None = None,
    progress: Progress = silent,
) -> tuple[Path, dict[str, Any]]:
    """Train on corpora in the folder ``out``, continue an earlier run there, and export.

    Args:
        main, extra: corpus specs.
        held_out: number of held-out speakers of ``main``. With ``start``, its own held-out speakers
            are held out again if ``main`` has any of them. They are left out of ``extra`` anyway.
        config: sizes; with ``start`` those of the weights are used.
        half: export 16-bit weights (not of hf-ctc).
        start: spec of the recognizer to start from; None for the random weights
            of a DeepSpeech2.
        defense: spec of the front-end to fine-tune for. If it draws noise, or with ``attack``, it
            is applied at each step with fresh draws, after the noise of the recipe; else once,
            before it.
        device: device to compute on, such as ``cuda``; a run may continue on another device.
        attack: spec of the attack to train against. With a defense it is crafted through it.
        attacked: share of the examples that are attacked.
        fade: their perturbations are scaled down by 0 to so many dB.
        teacher: spec of a recognizer to learn from what it hears without noise, attack and defense.
        progress: is called while speech is read, and after each step.

    Returns:
        ``out/model.safetensors``, or the folder ``out/model`` of an hf-ctc model, and its card. The
        card has the data, the settings, the number of utterances that were left out because their
        texts do not fit into their frames, and ``held_out_wer``: the greedy WER in percent of the
        exported weights on the held-out speakers, of hama their phoneme error rate (None if these
        have no words). ``held_out_unit`` is there and ``chars`` where it is the character error
        rate.
    """
    front = defenses.front_end(defense) if defense else None
    if front and attack and not (front.differentiable or front.approximate):
        raise MelmoatError(
            f"no gradient flows through {defense}, so --attack would change nothing; give the "
            "attacker another one, such as gradient=bpda"
        )
    usable(device)
    model = trainable.take(start, half) if start else _random(config, recipe.seed)
    method = method_of(model)
    names = model.card.get("held_out_speakers") if start else None
    everything = combine([data.load(s) for s in main])
    training, held = split_speakers(everything, held_out, names)
    unseen = unheard(held, names)
    added = [c for s in extra for c in data.load(s) if c.supervisions[0].speaker not in unseen]
    check([*everything, *added], model)
    live = front is not None and (front.stochastic or attack is not None)
    taught_by = Teacher(teacher, model, device) if teacher else None
    origin: dict[str, Any] = {}
    if start:
        origin["start"] = identity(MODELS.parse(start))
    if defense:
        origin["defense"] = identity(DEFENSES.parse(defense))
        origin |= {"fresh_draws": True} if live else {}
    against = adversary(attack, attacked, fade) if attack else None
    if attack:
        origin |= {"attack": identity(ATTACKS.parse(attack)), "attacked": attacked}
        origin |= {"fade": fade} if fade else {}
    given = asdict(recipe)
    if teacher:
        origin["teacher"] = identity(MODELS.parse(teacher))
    else:
        del given["teach"]
    settings = {
        "trained_on": [provenance(spec) for spec in [*main, *extra]],
        "held_out_speakers": sorted(unseen),
        **given,
        **method.sizes(model),
        **origin,
    }
    loop.begun(out, settings)
    once = None if live else front
    main_utterances, more = (
        utterances(list(cuts), model, once, device, progress) for cuts in (training, added)
    )
    validated = utterances(list(held), model, front, device, progress)
    at_each_step = front if live else None
    read = zip([*training, *added], [*main_utterances, *more], strict=True)
    check_shortest([pair for pair in read if fits(pair[1], model)], model, at_each_step, device)
    check_shortest(list(zip(held, validated, strict=True)), model, device=device, speed=1.0)
    task = ASRTask(
        model, main_utterances, more, validated, recipe, device, against, taught_by, at_each_step
    )
    loop.run(task, task.steps, out, task.steps_an_epoch, settings, progress=progress)
    card = {
        "trained_on": settings["trained_on"],
        "held_out_speakers": settings["held_out_speakers"],
        "recipe": given,
        **origin,
        "left_out": len(main_utterances) + len(more) - len(task.main) - len(task.extra),
        "melmoat": __version__,
    }
    if task.unit == "chars":
        card["held_out_unit"] = task.unit
    if task.guard.skipped:
        card["skipped_steps"] = task.guard.skipped
    path = method.export(task.average, out, card, half)
    task.average = method.reopen(path)
    scores = task.validate()
    card["held_out_wer"] = scores.get("wer")
    if against is not None:
        card["held_out_attacked_wer"] = scores.get("attacked_wer")
    return method.export(task.average, out, card, half), card


def _random(config: DeepSpeech2Config, seed: int) -> DeepSpeech2:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DeepSpeech2(config)

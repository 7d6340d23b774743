"""Other toolkits around a recognizer of ours, and the attacks that each of them spells its own way.

``benchmarks/peers.py`` measures them. To add a contest: one entry in :data:`CONTESTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from art.attacks.evasion import ImperceptibleASRPyTorch, ProjectedGradientDescent
from art.estimators.pytorch import PyTorchEstimator
from art.estimators.speech_recognition.speech_recognizer import (
    PytorchSpeechRecognizerMixin,
    SpeechRecognizerMixin,
)
from asr_attacks import ASRAttacker
from asr_attacks.backends import CTCModuleBackend
from torch import Tensor, nn

from melmoat.attacks import ATTACKS
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import CTC

STEP = 0.2  # of PGD, in parts of the radius
TARGET = "STOP"
SYMBOLS = 191  # of hama


def draws_for(audio: Audio) -> Draws:
    return Draws(range(len(audio)))


def whole(wav: Tensor) -> Audio:
    return Audio(wav, torch.full((len(wav),), wav.shape[1]))


class ArtModel(PytorchSpeechRecognizerMixin, SpeechRecognizerMixin, PyTorchEstimator):  # type: ignore[misc]
    """What ART asks of a recognizer."""

    def __init__(self, model: CTC) -> None:
        super().__init__(model=model, clip_values=(-1.0, 1.0), channels_first=None)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (-1,)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def sample_rate(self) -> int:
        return self.model.rate

    def predict(self, x: np.ndarray, batch_size: int = 128, **_: object) -> np.ndarray:
        audio = whole(torch.from_numpy(x))
        return np.array(self.model.transcribe(audio, draws_for(audio)))

    def loss_gradient(self, x: np.ndarray, y: np.ndarray, **_: object) -> np.ndarray:
        wav = torch.from_numpy(x.astype(np.float32)).requires_grad_()
        audio = whole(wav)
        loss = self.model.loss(audio, y.tolist(), draws_for(audio)).sum()
        return torch.autograd.grad(loss, wav)[0].numpy()

    def compute_loss_and_decoded_output(
        self, masked_adv_input: Tensor, original_output: np.ndarray, **_: object
    ) -> tuple[Tensor, np.ndarray]:
        audio = whole(masked_adv_input.float())
        log_probs, frames = self.model.log_probs(audio, draws_for(audio))
        heard = self.model.decode(log_probs.detach(), frames)
        return self.model.loss(audio, original_output.tolist(), draws_for(audio)), np.array(heard)

    def to_training_mode(self) -> None:  # for cuDNN; the model stays as it is
        pass

    def set_batchnorm(self, train: bool) -> None:
        pass

    def get_activations(self, *_: object, **__: object) -> np.ndarray:
        raise NotImplementedError


class PeerModule(nn.Module):
    """What asr-attacks asks of a recognizer: ``[1, T]`` -> ``[1, F, V]``."""

    def __init__(self, model: CTC) -> None:
        super().__init__()
        self.model = model

    def forward(self, wav: Tensor) -> Tensor:
        audio = whole(wav)
        return self.model.log_probs(audio, draws_for(audio))[0]


class Peers:
    """A recognizer as both toolkits see it."""

    def __init__(self, model: CTC) -> None:
        self.model, self.art = model, ArtModel(model)
        self.labels = list(getattr(model, "labels", ()))
        if not self.labels:  # phonemes: a character of no meaning for each
            self.labels = [chr(0xE000 + i) for i in range(SYMBOLS)]
        backend = CTCModuleBackend(PeerModule(model), labels=self.labels, blank_id=0)
        self.other = ASRAttacker(backend, verbose=False)

    def spelled(self, text: str) -> str:
        """A text in the labels that asr-attacks was given."""
        return "".join(self.labels[i] for i in self.model.targets([text])[0].tolist())


class Comparable(Tensor):
    """A tensor that ART may compare with an array, which PyTorch no longer allows."""

    def __lt__(self, other: object) -> Tensor:  # type: ignore[override]
        return super().__lt__(float(other))  # type: ignore[arg-type]


class Imperceptible(ImperceptibleASRPyTorch):  # type: ignore[misc]
    """ART's attack on the PyTorch of today."""

    def _forward_2nd_stage(self, *args: object, **options: object) -> Tensor:
        return super()._forward_2nd_stage(*args, **options).as_subclass(Comparable)


Art = Callable[[Peers, Tensor, Sequence[str], int], Tensor]  # equal lengths [B, T] -> [B, T]
Other = Callable[[Peers, Tensor, str, int], Tensor]  # one utterance [T] -> [T]


@dataclass(frozen=True)
class Contest:
    """One attack, as each toolkit spells it.

    Args:
        ours: a spec; ``{steps}`` is filled in.
        art, other: the same attack of ART and asr-attacks, given a recognizer, audio, the texts
            (references, or targets) and steps; None where one has no such attack.
        target: what it aims at, if it does.
        times: how often the steps of PGD it takes.
    """

    name: str
    ours: str
    art: Art | None
    other: Other | None
    target: str | None = None
    times: int = 1


def art_pgd(norm: float, eps: float) -> Art:
    def run(peers: Peers, wav: Tensor, texts: Sequence[str], steps: int) -> Tensor:
        attack = ProjectedGradientDescent(
            peers.art, norm=norm, eps=eps, eps_step=STEP * eps, max_iter=steps, verbose=False
        )
        return torch.from_numpy(attack.generate(wav.numpy(), y=np.array(texts)))

    return run


def other_pgd(norm: float, eps: float) -> Other:
    def run(peers: Peers, wave: Tensor, text: str, steps: int) -> Tensor:
        found = peers.other.pgd(
            wave, label=peers.spelled(text), epsilon=eps, alpha=STEP * eps, num_iter=steps,
            norm=norm, random_start=False,
        )  # fmt: skip
        return torch.from_numpy(found)[0]

    return run


def art_qin(eps: float, lr: float, every: int, hiding: bool, hiding_lr: float, alpha: float) -> Art:
    """Qin et al. 2019; without ``hiding``, its first stage alone (it must take one second step)."""

    def run(peers: Peers, wav: Tensor, texts: Sequence[str], steps: int) -> Tensor:
        attack = Imperceptible(
            peers.art,
            eps=eps,
            max_iter_1=steps,
            max_iter_2=steps if hiding else 1,
            learning_rate_1=lr,
            learning_rate_2=hiding_lr if hiding else 1e-12,
            global_max_length=wav.shape[1],
            num_iter_decrease_eps=every,
            alpha=alpha,
            num_iter_decrease_alpha=50,
            batch_size=len(wav),
        )
        return torch.from_numpy(attack.generate(wav.numpy(), y=np.array(texts)))

    return run


def other_cw(eps: float, lr: float) -> Other:
    def run(peers: Peers, wave: Tensor, text: str, steps: int) -> Tensor:
        # Its loss is the mean over the target's characters, ours the sum.
        found = peers.other.cw(
            wave, target=peers.spelled(text), targeted=True, epsilon=eps, c=len(text),
            learning_rate=lr, num_iter=steps,
        )  # fmt: skip
        return torch.from_numpy(found)[0]

    return run


def pgd(name: str, norm: str, order: float, eps: float) -> Contest:
    spec = f"pgd:norm={norm},eps={eps},steps={{steps}},step={STEP}"
    return Contest(name, spec, art_pgd(order, eps), other_pgd(order, eps))


EPS, LR, HIDING_LR, ALPHA = 0.02, 5e-4, 1e-4, 0.05
BOX = f"eps={EPS},steps={{steps}},lr={LR},target={TARGET}"
CONTESTS = [
    pgd("PGD linf 0.003", "linf", np.inf, 0.003),
    pgd("PGD l2 0.3", "l2", 2, 0.3),
    Contest(
        "CW",
        f"cw:{BOX},decrease=0.8",
        art_qin(EPS, LR, 1, False, HIDING_LR, ALPHA),
        None,
        TARGET,
        10,
    ),
    Contest("CW 2018", f"cw2018:{BOX}", None, other_cw(EPS, LR), TARGET, 10),
    Contest(
        "imperceptible",
        f"imperceptible:{BOX},hiding={{steps}},hiding_lr={HIDING_LR},alpha={ALPHA}",
        art_qin(EPS, LR, 10, True, HIDING_LR, ALPHA),
        None,
        TARGET,
        10,
    ),
]
CONTESTS = [contest for contest in CONTESTS if contest.ours.partition(":")[0] in ATTACKS.table]

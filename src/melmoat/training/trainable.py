"""The networks that ``melmoat train asr`` can train, and how each kind is trained and stored.

To train another kind of recognizer takes a subclass of :class:`Method` and a line in
:data:`METHODS`.
"""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from melmoat.audio import RATE, Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import MODELS, checkpoints, deepspeech2, hf_ctc, hf_load, load
from melmoat.models.deepspeech2 import DeepSpeech2
from melmoat.models.hama import letters as hama_letters
from melmoat.models.hama import load as hama_load
from melmoat.models.hama.letters import Letters
from melmoat.models.hama.logmel import HOP
from melmoat.models.hama.recognizer import LONGEST_SECONDS, Hama
from melmoat.models.hf_ctc import CARD, HFCTC
from melmoat.spectral import frame_mask
from melmoat.training.augment import spec_augment
from melmoat.weights import check_finite, read_header, unwritable

Trainable = DeepSpeech2 | HFCTC | Hama | Letters
M = TypeVar("M", bound=Trainable)
F = TypeVar("F", Hama, Letters)


class Method(ABC, Generic[M]):
    """How one kind of recognizer is trained.

    Attributes:
        longest: seconds of the longest utterance that it takes.
        peak_rate: learning rate of a run that gives none.
        joined: whether some utterances are joined in pairs.
    """

    longest: float
    peak_rate: float = 1e-3
    joined: bool = True

    def begin(self, model: M, half: bool) -> None:
        """Make ``model`` ready to learn.

        Raises:
            MelmoatError: it cannot be stored in ``half`` precision.
        """
        model.requires_grad_(True)

    def hear(self, model: M, audio: Audio, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F, V]`` and frames ``[B]``, of which the loss is taken."""
        return model.log_probs(audio, Draws([0] * len(audio)))

    @abstractmethod
    def frames(self, model: M, samples: int) -> int:
        """CTC frames of an utterance of ``samples`` samples."""

    def sizes(self, model: M) -> dict[str, Any]:
        """The sizes that a resumed run must agree on."""
        return {}

    @abstractmethod
    def export(self, model: M, out: Path, card: Mapping[str, Any], half: bool) -> Path:
        """Write ``model`` with its card below ``out``, and return where.

        ``half`` stores 16-bit floats. What was there is kept until all is written.
        """

    @abstractmethod
    def reopen(self, path: Path) -> M:
        """Load what :meth:`export` wrote."""


class DeepSpeech2Method(Method[DeepSpeech2]):
    """A DeepSpeech2: all of it learns, with masked spectrograms (SpecAugment)."""

    longest = deepspeech2.LONGEST_SECONDS

    def hear(
        self, model: DeepSpeech2, audio: Audio, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """From masked spectrograms."""
        model.train()
        features, frames = model.features(audio)
        return model.encode(spec_augment(features, frames, rng), frames)

    def frames(self, model: DeepSpeech2, samples: int) -> int:
        """One frame each second hop."""
        return samples // (2 * model.config.hop) + 1

    def sizes(self, model: DeepSpeech2) -> dict[str, Any]:
        """Its configuration."""
        return asdict(model.config)

    def export(self, model: DeepSpeech2, out: Path, card: Mapping[str, Any], half: bool) -> Path:
        """Write ``out/model.safetensors``."""
        path = out / "model.safetensors"
        checkpoints.save(path, model, card, half)
        return path

    def reopen(self, path: Path) -> DeepSpeech2:
        """Load the file."""
        return checkpoints.load(path)


class TransformersMethod(Method[HFCTC]):
    """A pretrained CTC network of transformers.

    Its first convolutions stay fixed, as its authors keep them. Dropout is off: it would draw from
    PyTorch's global generator, and a resumed run would differ from a whole one.
    """

    longest = hf_ctc.LONGEST_SECONDS
    peak_rate = 3e-5

    def begin(self, model: HFCTC, half: bool) -> None:
        """Make all but the first convolutions ready to learn."""
        if half:
            raise MelmoatError("leave out --half: hf-ctc folders are 32-bit")
        super().begin(model, half)
        if hasattr(model.network, "freeze_feature_encoder"):  # a network without has none
            model.network.freeze_feature_encoder()

    def hear(self, model: HFCTC, audio: Audio, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Without dropout."""
        return super().hear(model.eval(), audio, rng)

    def frames(self, model: HFCTC, samples: int) -> int:
        """As the network's convolutions have them."""
        return int(model.frames(torch.tensor([samples]))[0])

    def export(self, model: HFCTC, out: Path, card: Mapping[str, Any], half: bool) -> Path:
        """Write the folder ``out/model``."""
        path, partial = out / "model", out / "model.partial"
        check_finite(path, model)
        shutil.rmtree(partial, ignore_errors=True)
        try:
            model.save(partial)
            (partial / CARD).write_text(json.dumps(dict(card)))
            if path.exists():
                shutil.rmtree(path)
            return partial.rename(path)
        except OSError as error:
            raise unwritable(path, error) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def reopen(self, path: Path) -> HFCTC:
        """Load the folder."""
        model = hf_load.load(str(path))
        assert isinstance(model, HFCTC)
        return model


class FramewiseMethod(Method[F]):
    """What has one of hama's networks. All of it learns."""

    longest = LONGEST_SECONDS
    joined = False

    def frames(self, model: F, samples: int) -> int:
        """Every second frame of the spectrum."""
        return (samples // HOP + 2) // 2


class HamaMethod(FramewiseMethod[Hama]):
    """A phoneme recognizer of hama, on the phonemes of the texts."""

    peak_rate = 1e-4

    def begin(self, model: Hama, half: bool) -> None:
        """Make the network ready to learn; it is validated by its phonemes, not by words."""
        super().begin(model, half)
        model.write_phonemes()

    def export(self, model: Hama, out: Path, card: Mapping[str, Any], half: bool) -> Path:
        """Write ``out/model.safetensors``."""
        path = out / "model.safetensors"
        hama_load.save(path, model, card, half)
        return path

    def reopen(self, path: Path) -> Hama:
        """Load the file."""
        return hama_load.tuned(path)


class LettersMethod(FramewiseMethod[Letters]):
    """A recognizer of letters with hama's Conformer, which learns from masked spectrograms."""

    peak_rate = 5e-4  # with 1e-3 and few steps to rise it fell into writing nothing

    def hear(self, model: Letters, audio: Audio, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """From spectrograms of which parts are their mean."""
        mel, frames = model.features(audio)
        inside = frame_mask(frames, mel.shape[1])[..., None]
        mean = mel.sum((1, 2), keepdim=True) / (frames * mel.shape[2])[:, None, None]
        masked = spec_augment((mel - mean).mT, frames, rng, bands=12).mT
        return model.encode((masked + mean) * inside, frames)

    def export(self, model: Letters, out: Path, card: Mapping[str, Any], half: bool) -> Path:
        """Write ``out/model.safetensors``."""
        path = out / "model.safetensors"
        hama_letters.save(path, model, card, half)
        return path

    def reopen(self, path: Path) -> Letters:
        """Load the file."""
        return hama_letters.load(path)


METHODS: dict[type, Method[Any]] = {
    DeepSpeech2: DeepSpeech2Method(),
    Hama: HamaMethod(),
    Letters: LettersMethod(),
    HFCTC: TransformersMethod(),
}


def method_of(model: object) -> Method[Any]:
    """How ``model`` is trained.

    Raises:
        MelmoatError: it is not of a kind that is trained here.
    """
    if type(model) not in METHODS:
        raise MelmoatError(
            f"{type(model).__name__} is not a DeepSpeech2, not an hf-ctc model and not of hama; "
            "only those are trained here"
        )
    return METHODS[type(model)]


def peak_rate(start: str | None) -> float:
    """The default learning rate of a run. Errors as for :func:`method_of`."""
    return method_of(load(start)).peak_rate if start else DeepSpeech2Method.peak_rate


def spec_of(path: Path) -> str:
    """The spec of what :meth:`Method.export` wrote."""
    if path.is_dir():
        return f"hf-ctc:{path}"
    architecture = str(read_header(path).get("architecture"))
    if architecture == hama_letters.ARCHITECTURE:
        return f"{architecture}:weights={path}"
    if architecture.startswith("hama "):
        return f"hama:{architecture.removeprefix('hama ')},weights={path}"
    return f"deepspeech2:{path}"


def take(start: str, half: bool = False) -> Trainable:
    """The recognizer that the spec ``start`` names, ready to learn.

    Raises:
        MelmoatError: a recognizer that is not trained here, one of another sampling rate or with a
            beam, or one that cannot be stored in ``half`` precision.
    """
    if MODELS.parse(start).args.get("beam"):
        raise MelmoatError(f"{start}: leave out beam; what is trained is validated greedily")
    model = load(start)
    method = method_of(model)
    if model.rate != RATE:
        raise MelmoatError(f"{start} takes {model.rate} Hz audio; training reads {RATE} Hz")
    method.begin(model, half)
    return cast(Trainable, model)

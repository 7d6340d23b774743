"""The recognizers that `melmoat train asr` can train, and the differences between them.

All weights of a DeepSpeech2 are trained, with masked spectrograms. A pretrained network of
transformers is fine-tuned with its first convolutions fixed, as its authors do. Its dropout is off:
dropout draws from PyTorch's global generator, so a resumed run would take other steps than an
uninterrupted one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from melmoat.audio import RATE, Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import MODELS, checkpoints, deepspeech2, hf_ctc, hf_load, load
from melmoat.models.base import ctc_loss
from melmoat.models.deepspeech2 import DeepSpeech2
from melmoat.models.hf_ctc import CARD, HFCTC
from melmoat.training.augment import spec_augment
from melmoat.weights import unwritable

Trainable = DeepSpeech2 | HFCTC
PEAK_RATES = {"hf-ctc": 3e-5}  # learning rates for pretrained networks


def peak_rate(start: str | None) -> float:
    """The default learning rate of a run."""
    return PEAK_RATES.get(MODELS.parse(start).name if start else "", 1e-3)


def take(start: str, half: bool = False) -> Trainable:
    """The recognizer of the spec ``start``, ready for training.

    Raises:
        MelmoatError: the recognizer cannot be trained here, has another sampling rate or a beam, or
            :func:`export` cannot write it in ``half`` precision.
    """
    if MODELS.parse(start).args.get("beam"):
        raise MelmoatError(f"{start}: leave out beam; what is trained is validated greedily")
    model = load(start)
    if not isinstance(model, DeepSpeech2 | HFCTC):
        raise MelmoatError(
            f"{start} is not a DeepSpeech2 and not an hf-ctc model; only those are trained here"
        )
    if model.rate != RATE:
        raise MelmoatError(f"{start} takes {model.rate} Hz audio; training reads {RATE} Hz")
    if half and isinstance(model, HFCTC):
        raise MelmoatError("--half is for a DeepSpeech2; leave it out: hf-ctc folders are 32-bit")
    model.requires_grad_(True)
    if isinstance(model, HFCTC) and hasattr(model.network, "freeze_feature_encoder"):
        model.network.freeze_feature_encoder()
    return model


def batch_loss(
    model: Trainable, audio: Audio, texts: Sequence[str], rng: np.random.Generator
) -> Tensor:
    """Mean training loss of a batch, in nats per utterance."""
    if isinstance(model, HFCTC):
        return model.eval().loss(audio, texts, Draws([0] * len(audio))).mean()
    model.train()
    features, frames = model.features(audio)
    features = spec_augment(features, frames, rng)
    log_probs, frames = model.encode(features, frames)
    return ctc_loss(log_probs, frames, texts, model.labels).mean()


def frames(model: Trainable, samples: int) -> int:
    """CTC frames of an utterance of ``samples`` samples."""
    if isinstance(model, HFCTC):
        return int(model.frames(torch.tensor([samples]))[0])
    return samples // (2 * model.config.hop) + 1


def sizes(model: Trainable) -> dict[str, Any]:
    """The sizes that a resumed run must share."""
    return asdict(model.config) if isinstance(model, DeepSpeech2) else {}


def export(model: Trainable, out: Path, card: Mapping[str, Any], half: bool) -> Path:
    """Write ``model`` with its card: ``out/model.safetensors``, or the folder ``out/model``.

    ``half`` stores 16-bit floats in our own format. An existing export is kept until the new one is
    complete.
    """
    if isinstance(model, DeepSpeech2):
        path = out / "model.safetensors"
        checkpoints.save(path, model, card, half)
        return path
    path, partial = out / "model", out / "model.partial"
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


def longest(model: Trainable) -> float:
    """The longest utterance for ``model``, in seconds."""
    return hf_ctc.LONGEST_SECONDS if isinstance(model, HFCTC) else deepspeech2.LONGEST_SECONDS


def reopen(path: Path) -> Trainable:
    """Read an export of :func:`export`."""
    return hf_load.load(str(path)) if path.is_dir() else checkpoints.load(path)


def spec_of(path: Path) -> str:
    """The spec of an export of :func:`export`."""
    return f"hf-ctc:{path}" if path.is_dir() else f"deepspeech2:{path}"

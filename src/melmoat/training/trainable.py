"""What `melmoat train asr` can train, and what differs between them.

A DeepSpeech2 learns whole, with masked spectrograms. A pretrained network of transformers is
fine-tuned with its first convolutions fixed, as its authors do, and with dropout off: it would
draw from PyTorch's global generator, and a resumed run would take other steps than a whole one.
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
PEAK_RATES = {"hf-ctc": 3e-5}  # learning rates for what comes pretrained


def peak_rate(start: str | None) -> float:
    """The learning rate for a run that gives none."""
    return PEAK_RATES.get(MODELS.parse(start).name if start else "", 1e-3)


def take(start: str, half: bool = False) -> Trainable:
    """The recognizer that the spec ``start`` names, ready to learn.

    Raises:
        MelmoatError: a recognizer that is not trained here, one of another sampling rate or with a
            beam, or one that :func:`export` cannot write in ``half`` precision.
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
    """Mean loss of a batch in nats an utterance, as it is learnt from."""
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
    """What a resumed run must agree on."""
    return asdict(model.config) if isinstance(model, DeepSpeech2) else {}


def export(model: Trainable, out: Path, card: Mapping[str, Any], half: bool) -> Path:
    """Write ``model`` with its card: ``out/model.safetensors``, or the folder ``out/model``.

    ``half`` stores 16-bit floats where the file is ours. What was there is kept until all is
    written.
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
    """Seconds of the longest utterance that ``model`` takes."""
    return hf_ctc.LONGEST_SECONDS if isinstance(model, HFCTC) else deepspeech2.LONGEST_SECONDS


def reopen(path: Path) -> Trainable:
    """What :func:`export` wrote."""
    return hf_load.load(str(path)) if path.is_dir() else checkpoints.load(path)


def spec_of(path: Path) -> str:
    """How what :func:`export` wrote is called."""
    return f"hf-ctc:{path}" if path.is_dir() else f"deepspeech2:{path}"

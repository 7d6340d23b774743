"""CTC recognizers of Hugging Face transformers that write pieces of words.

Parakeet (a FastConformer of NeMo) and LASR take a log-mel, Omnilingual ASR the waveform. The
network and the tokenizer are theirs. Features are those of their extractors, with a gradient that
is finite at silence too. An utterance runs with others of its own length only, so a batch gives
what single utterances give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.audio import Audio
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.models.base import CTC
from melmoat.models.hf_ctc import check_audio, of_one_length
from melmoat.models.whisper.text import written
from melmoat.normalisers import Normaliser
from melmoat.text import TextError, listed
from melmoat.weights import WeightsError

SHORTEST = 3_200  # samples; anything shorter is heard with silence after it
FLOOR = 2.0**-24  # Parakeet's, added to a band's power
LEAST = 1e-5  # LASR's least power, and what is added to a deviation (Parakeet) or variance (Omni)


def parakeet_mel(extractor: Any, wav: Tensor) -> tuple[Tensor, Tensor]:
    """The features of ``ParakeetFeatureExtractor``, of utterances of one length.

    Pre-emphasis, power by a centred transform, mel bands, the logarithm, and each band normalised
    over the utterance.

    Args:
        extractor: says sizes and mel bands.
        wav: ``[B, T]``.

    Returns:
        ``[B, F, bands]`` and which frames count ``[B, F]``, in whole numbers: not the last.
    """
    e = extractor
    if e.preemphasis is not None:
        wav = torch.cat([wav[:, :1], wav[:, 1:] - e.preemphasis * wav[:, :-1]], 1)
    window = torch.hann_window(e.win_length, periodic=False, dtype=wav.dtype, device=wav.device)
    spectrum = torch.stft(
        wav,
        e.n_fft,
        e.hop_length,
        e.win_length,
        window,
        pad_mode="constant",
        return_complex=True,
    )
    # Not by the magnitude, whose gradient at silence is NaN.
    power = spectrum.real.square() + spectrum.imag.square()
    logs = (e.mel_filters.to(wav) @ power + FLOOR).log().transpose(1, 2)
    count = wav.shape[1] // e.hop_length
    mask = (torch.arange(logs.shape[1], device=wav.device) < count).expand(len(wav), -1)
    mean = logs[:, :count].mean(1, keepdim=True)
    variance = logs[:, :count].var(1, keepdim=True)
    varies = variance > 0  # the square root has no gradient at 0
    deviation = torch.where(varies, torch.where(varies, variance, 1).sqrt(), 0)
    return (logs - mean) / (deviation + LEAST) * mask[..., None], mask.long()


def lasr_mel(extractor: Any, wav: Tensor) -> tuple[Tensor, None]:
    """The features of ``LasrFeatureExtractor``, of utterances of one length; every frame counts.

    Power of windows that lie inside the utterance, mel bands and the logarithm, in 64 bits.

    Shape: ``[B, T]`` -> ``[B, F, bands]``.
    """
    e = extractor
    double: dict[str, Any] = {"dtype": torch.float64, "device": wav.device}
    frames = wav.double().unfold(1, e.win_length, e.hop_length)
    window = torch.hann_window(e.win_length, periodic=False, **double)
    spectrum = torch.fft.rfft(window * frames, n=e.n_fft)
    power = spectrum.real.square() + spectrum.imag.square()
    return (power @ e.mel_filters.to(**double)).clamp(min=LEAST).log().to(wav.dtype), None


def normalised(extractor: Any, wav: Tensor) -> tuple[Tensor, None]:
    """The input of ``OmniASRFeatureExtractor``, of utterances of one length: mean 0, variance 1.

    Shape: ``[B, T]`` -> ``[B, 1, T]``.
    """
    if extractor.do_normalize:
        wav = F.layer_norm(wav, wav.shape[1:], eps=LEAST)
    return wav[:, None], None


FEATURES: dict[str, Callable[[Any, Tensor], tuple[Tensor, Tensor | None]]] = {
    "lasr_ctc": lasr_mel,
    "omniasr_ctc": normalised,
    "parakeet_ctc": parakeet_mel,
}


class HFPieces(CTC, nn.Module):
    """A recognizer around such a network.

    Args:
        network: the model; its ``config`` says how it was built.
        extractor: its feature extractor.
        tokenizer: its tokenizer.

    Raises:
        WeightsError: its tokens are more than its outputs.
    """

    network: Any
    normaliser: Normaliser | None = None

    def __init__(self, network: Any, extractor: Any, tokenizer: Any) -> None:
        super().__init__()
        self.network, self.extractor, self.tokenizer = network, extractor, tokenizer
        self.rate = int(extractor.sampling_rate)
        self.features = FEATURES[network.config.model_type]
        size = network.config.vocab_size
        blank = getattr(network.config, "blank_token_id", network.config.pad_token_id)
        pieces = tokenizer.get_vocab()
        if blank is None or blank >= size or max(pieces.values()) >= size:
            raise WeightsError(
                f"its tokenizer has tokens up to {max(pieces.values())} and its blank is {blank}, "
                f"for {size} outputs; the files are of different models"
            )
        self.order = [blank, *(i for i in range(size) if i != blank)]  # the blank comes first
        self.cased = any(piece.upper() == piece != piece.lower() for piece in pieces)
        self.card: Mapping[str, Any] = {}

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F, V]`` and frames ``[B]``; nothing is drawn."""
        check_audio(audio, self.rate)
        wav, lengths = audio.wav * audio.mask, audio.lengths.clamp(min=SHORTEST)
        wav = F.pad(wav, (0, max(0, SHORTEST - wav.shape[1])))
        return of_one_length(wav, lengths, self._run)

    def _run(self, wav: Tensor) -> Tensor:
        features, mask = self.features(self.extractor, wav)
        network = beside(self.network, wav)
        options = {} if mask is None else {"attention_mask": mask}
        logits = network(features, **options).logits
        if mask is not None:  # the frames that count, after subsampling
            kept = network._get_output_attention_mask(mask)
            logits = logits[:, : int(kept[0].sum())]
        logs: Tensor = logits[..., self.order].log_softmax(-1)
        return logs

    def targets(self, texts: Sequence[str]) -> list[Tensor]:
        """The pieces of each text, as it would write it.

        Raises:
            TextError: a text with characters that no piece has.
        """
        found = []
        for text in listed(texts):
            as_it_writes = written(text) if self.cased else text.lower()
            ids = self.tokenizer(as_it_writes, add_special_tokens=False).input_ids
            if self._text(ids) != " ".join(as_it_writes.split()):
                raise TextError(f"{text!r} has characters that this recognizer never writes")
            found.append(torch.tensor([self.order.index(i) for i in ids], dtype=torch.long))
        return found

    def decode(self, log_probs: Tensor, frames: Tensor) -> list[str]:
        """The best piece of each frame, repeats merged, blanks dropped."""
        texts = []
        for best, length in zip(log_probs.argmax(-1).tolist(), frames.tolist(), strict=True):
            ids = [self.order[i] for i, _ in groupby(best[:length]) if i]
            texts.append(self._text(ids))
        return texts

    def _text(self, ids: list[int]) -> str:
        text = self.tokenizer.decode(ids, skip_special_tokens=True, group_tokens=False)
        return " ".join(text.split())

    @property
    def greedy(self) -> bool:
        """Whether :meth:`decode` takes the best path."""
        return True

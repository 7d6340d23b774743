"""CTC recognizers of Hugging Face transformers that take the waveform.

These are wav2vec 2.0, HuBERT, WavLM, UniSpeech, MMS, Data2Vec, SEW and other models of
``AutoModelForCTC`` with similar convolutions on raw samples. The network is unchanged. This module
adds the normalisation of the feature extractor as a differentiable function of true lengths,
attention masks or equal lengths (so that padding never leaks), and the vocabulary as labels (blank
first).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from melmoat.audio import Audio, AudioError
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.models.base import CTC
from melmoat.models.decoding import Decoder, greedy
from melmoat.normalisers import Normaliser
from melmoat.text import single
from melmoat.weights import WeightsError, unwritable

LONGEST_SECONDS = 120  # the memory of attention grows with its square
CARD = "melmoat.json"  # in an exported folder: the origin of the weights
OTHER = "\ufffd"  # one label for all tokens that are not text, such as <s> and <unk>
# Single-layer convolutions over frames; the network itself sets frames beyond each utterance to
# zero.
MASKED = ("hubert", "unispeech", "unispeech-sat", "wav2vec2", "wavlm")


class HFCTC(CTC, nn.Module):
    """A recognizer around an ``AutoModelForCTC``.

    Args:
        network: the model, with its ``config``.
        extractor: its feature extractor, which has the rate and the normalisation.
        tokenizer: its tokenizer, which has the vocabulary.

    Raises:
        WeightsError: the network does not take waveforms, is built differently, or does not write
            characters.
    """

    network: Any
    config: Any
    normaliser: Normaliser | None = None

    def __init__(self, network: Any, extractor: Any, tokenizer: Any) -> None:
        super().__init__()
        if getattr(network, "main_input_name", "") != "input_values":
            raise WeightsError(
                f"{type(network).__name__} hears features that {type(extractor).__name__} computes "
                "without a gradient; hf-ctc takes networks that hear the waveform (wav2vec2, "
                "hubert, wavlm, ...), Parakeet, LASR and OmniASR. Write its features in torch and "
                "bring it as python:MODULE:FACTORY (docs/recognizers.md)"
            )
        if not hasattr(network.config, "conv_kernel"):
            raise WeightsError(
                f"{type(network).__name__} is not built as wav2vec2 is, so its blank and frames "
                "are not known here; bring it as python:MODULE:FACTORY (docs/recognizers.md)"
            )
        self.network, self.extractor, self.tokenizer = network, extractor, tokenizer
        self.config = network.config
        self.rate = int(extractor.sampling_rate)
        self.labels, columns = alphabet(tokenizer, self.config.vocab_size, self.config.pad_token_id)
        self.columns = columns
        self.others = sorted(set(range(self.config.vocab_size)) - set(columns))
        if self.others:
            self.labels += OTHER
        self.decoder = written(greedy)
        self.card: Mapping[str, Any] = {}

    @property
    def masks(self) -> bool:
        """Whether a ragged batch is exact with an attention mask.

        A group norm includes padding in its statistics, and some layers spread frames before a
        mask. Such networks run on utterances of one length at a time.
        """
        config = self.config
        return (
            config.model_type in MASKED
            and config.feat_extract_norm == "layer"
            and not getattr(config, "add_adapter", False)
            and not getattr(config, "conv_pos_batch_norm", False)
        )

    @property
    def shortest(self) -> int:
        """Samples of the fewest frames; silence is appended to shorter audio."""
        samples = getattr(self.config, "squeeze_factor", 1)  # SEW joins frames
        for kernel, stride in self._convolutions():
            samples = (samples - 1) * stride + kernel
        return samples

    def _convolutions(self) -> Iterator[tuple[int, int]]:
        """Kernel and stride, last layer first."""
        kernels, strides = self.config.conv_kernel, self.config.conv_stride
        return zip(reversed(kernels), reversed(strides), strict=True)

    def frames(self, lengths: Tensor) -> Tensor:
        """Frames of utterances of ``lengths`` samples. Shape: ``[B]`` -> ``[B]``."""
        lengths = lengths.clamp(min=self.shortest)
        for kernel, stride in reversed(list(self._convolutions())):
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
        if getattr(self.config, "add_adapter", False):
            for _ in range(self.config.num_adapter_layers):
                step = self.config.adapter_stride
                lengths = torch.div(lengths - 1, step, rounding_mode="floor") + 1
        return lengths

    def waveforms(self, audio: Audio) -> Tensor:
        """The network's input: samples, :func:`standardised` if the network needs this, and at
        least :attr:`shortest` of them.

        Shape: ``[B, T]``.
        """
        check_audio(audio, self.rate)
        wav = standardised(audio) if self.extractor.do_normalize else audio.wav * audio.mask
        return nn.functional.pad(wav, (0, max(0, self.shortest - wav.shape[1])))

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F, V]`` and frames ``[B]``; nothing is drawn.

        Tokens that are not text (``<s>``, ``<unk>``) share the last column. Without it the rows
        would not sum to one, but the gradient of PyTorch's CTC loss assumes this.
        """
        wav, lengths = self.waveforms(audio), audio.lengths.clamp(min=self.shortest)
        if self.masks:
            steps = torch.arange(wav.shape[1], device=wav.device)
            mask = (steps < lengths[:, None]).long()
            with warnings.catch_warnings():  # torch warns about WavLM's two kinds of masks
                warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
                logits = self._logits(wav, attention_mask=mask)
            return self._labelled(logits), self.frames(audio.lengths)
        return of_one_length(wav, lengths, lambda some: self._labelled(self._logits(some)))

    def _logits(self, wav: Tensor, **options: Tensor) -> Tensor:
        # transformers 5.20 draws for a layer drop from PyTorch's global generator, also in eval
        # mode.
        with torch.random.fork_rng([], enabled=not self.network.training):
            logits: Tensor = beside(self.network, wav)(wav, **options).logits
        return logits

    def _labelled(self, logits: Tensor) -> Tensor:
        """Log probabilities of the labels from the network's outputs. Shape: ``[..., V]``."""
        logs = logits.log_softmax(-1)
        chosen = [logs[..., self.columns]]
        if self.others:
            chosen.append(logs[..., self.others].logsumexp(-1, keepdim=True))
        return torch.cat(chosen, -1)

    def save(self, folder: Path) -> None:
        """Write network, extractor and tokenizer as transformers does; ``hf-ctc:FOLDER`` reads it.

        Raises:
            WeightsError: the disk is full or the folder read-only.
        """
        try:
            for part in (self.network, self.extractor, self.tokenizer):
                part.save_pretrained(folder)
        except (OSError, SafetensorError) as error:
            raise unwritable(folder, error) from error


def standardised(audio: Audio) -> Tensor:
    """Samples with mean 0 and variance 1, as transformers' extractors of waveforms have them.

    ``(x - mean) / sqrt(var + 1e-7)`` with the biased variance over the true length, zero beyond it.
    Shape: ``[B, T]``.
    """
    count = audio.lengths[:, None]
    wav = audio.wav * audio.mask
    centred = (wav - wav.sum(1, keepdim=True) / count) * audio.mask
    variance = centred.square().sum(1, keepdim=True) / count
    return centred / torch.sqrt(variance + 1e-7)


def check_audio(audio: Audio, rate: int) -> None:
    """Refuse what such a recognizer cannot take.

    Raises:
        AudioError: an utterance is longer than :data:`LONGEST_SECONDS`.
        ValueError: the batch has another rate than ``rate``.
    """
    if audio.rate != rate:
        raise ValueError(f"this recognizer takes {rate} Hz audio, got {audio.rate} Hz")
    if audio.seconds.max() > LONGEST_SECONDS:
        raise AudioError(
            f"{float(audio.seconds.max()):.0f} s of audio: this recognizer takes utterances of "
            f"up to {LONGEST_SECONDS} s, all of whose frames it needs at once; cut it at pauses"
        )


def of_one_length(
    wav: Tensor, lengths: Tensor, run: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """What ``run`` makes of the utterances, those of one length at a time, and its frames.

    Args:
        wav: ``[B, T]``.
        lengths: true number of samples. Shape: ``[B]``.
        run: ``[N, L]`` -> ``[N, F, V]``.

    Shape: ``[B, F, V]``, ``[B]``.
    """
    rows: list[Tensor] = [wav[0]] * len(wav)
    for length in sorted(set(lengths.tolist())):
        members = (lengths == length).nonzero()[:, 0]
        for i, row in zip(members.tolist(), run(wav[members, :length]), strict=True):
            rows[i] = row
    frames = torch.tensor([len(row) for row in rows], device=wav.device)
    return pad_sequence(rows, batch_first=True), frames


def written(decoder: Decoder) -> Decoder:
    """``decoder`` that never writes :data:`OTHER`."""
    return partial(_write, decoder)


def _write(decoder: Decoder, log_probs: Tensor, frames: Tensor, labels: str) -> list[str]:
    writable = labels.rstrip(OTHER)
    return decoder(log_probs[..., : len(writable)], frames, writable)


def alphabet(tokenizer: Any, size: int, blank: int) -> tuple[str, list[int]]:
    """The labels of a CTC vocabulary, blank first, and the network's output of each.

    The word delimiter (``|``) becomes the space. A vocabulary without capitals is put in capitals,
    like this project's texts. Special tokens are left out.

    Raises:
        WeightsError: a token of several characters (phonemes, word pieces).
    """
    delimiter = getattr(tokenizer, "word_delimiter_token", None)
    special = set(tokenizer.all_special_ids) | {blank}
    written: dict[str, int] = {}
    long = []
    for token, index in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        if token == delimiter:
            written[" "] = index
        elif index in special or index >= size or token[:1] + token[-1:] in ("<>", "[]"):
            continue
        elif len(text := single(token)) == 1:
            written.setdefault(text, index)
        else:
            long.append(token)
    if long or not written:
        examples = ", ".join(long[:6]) or "none"
        raise WeightsError(
            f"hf-ctc takes models that write single characters; this one's tokens are: {examples}"
        )
    if not any(c.isupper() for c in written):
        capitals = {c.upper() if len(c.upper()) == 1 else c: i for c, i in written.items()}
        written = capitals if len(capitals) == len(written) else written
    return "_" + "".join(written), [blank, *written.values()]

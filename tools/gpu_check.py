"""Compare a GPU with the processor, part by part, and measure it. In under six minutes.

    make gpu-check                                       # or:
    python tools/gpu_check.py --device cuda
    python tools/gpu_check.py --device cpu --batches 2   # the script itself, without a GPU

For each kind of recognizer, and for each defense before ``ds2-an4``: the loss, its gradient at the
waveform, one PGD step and the transcript, on the device and on the processor, in 32-bit floats. The
exit code is 1 if anything differs by more than the tolerance, or is not finite. Then the CTC loss
alone, and the speed and memory of PGD. Small random networks stand for what needs a download.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat import attacks, data, defenses, models
from melmoat.attacks import Untargeted
from melmoat.audio import Audio
from melmoat.devices import full_precision, usable
from melmoat.draws import Draws
from melmoat.errors import MelmoatError, one_line
from melmoat.models import DeepSpeech2, DeepSpeech2Config, Recognizer

LOSS, GRADIENT = 1e-4, 1e-3  # largest relative differences
TEXTS = ["GO ON", "ENTER SIX", "A"]
SEEDS = (5, 6, 7)
RAGGED = (0.8, 1.0, 1.2)  # seconds
STEP = "pgd:norm=snr,db=20,steps=1"
RECURRENT = ("lstm", "gru", "rnn")
DEFENSES = [
    "wgn:snr=15",
    "rs:snr=15,votes=5",
    "resynth:vocoder=melgan-lab",
    "resynth:vocoder=pwg-lab",
    "resynth:vocoder=hifigan-universal",
    "resynth:vocoder=(griffin-lim:iterations=4)",
    "mdnf:vocoder=melgan-lab,level=0.1",
    "mdnf:vocoder=pwg-lab,level=0.1,gradient=resampled",
    "denoise:dtln",
    "denoise:gtcrn",
    "diffusion:snr=10,steps=2",
    "stft",
    "stft-flood:level=0.1",
    "room:rt60=0.2",
    "downsample:rate=6000",
    "median:width=5",
    "smooth:width=5",
    "filter:low=300,high=3400",
    "compress",
    "lpc:noise=0.5",
    "mulaw:gradient=bpda",
    "voted:(wgn:snr=15),votes=2",
    "chain:smooth:width=5,then=(wgn:snr=15)",
    "quantize:step=512,gradient=bpda",
    "codec:kind=mp3,gradient=bpda",
    "neural-codec:{encodec},quantizers=1",
    "neural-codec:{dac},quantizers=1,gradient=soft",
    "neural-codec:{mimi},quantizers=1",
]
SPEED = ["none", "mdnf:vocoder=melgan-lab,level=0.1"]
STEPS = 3
HEAD = "| part | loss | gradient | PGD step | transcripts | waits a step | |"


@dataclass(frozen=True)
class Found:
    """What one part gave on one device."""

    loss: Tensor
    gradient: Tensor
    step: Tensor
    heard: list[str]


def recognizers(home: Path) -> Iterator[tuple[str, Callable[[], Recognizer]]]:
    """Every kind of recognizer: its name, and what makes it."""
    yield "ds2-an4", lambda: models.load("ds2-an4")
    for rnn in RECURRENT:
        for both in (True, False):
            name = f"DeepSpeech2, random, {rnn}, {'both directions' if both else 'lookahead'}"
            yield name, lambda rnn=rnn, both=both: _deepspeech2(rnn, both)
    yield "hama:conformer", lambda: models.load("hama:conformer,decoder=phonemes")
    for kind in ("wav2vec2", "parakeet", "lasr", "omniasr", "whisper", "moonshine", "speecht5"):
        yield f"{kind}, random", lambda kind=kind: _transformers(kind, home)


def _deepspeech2(rnn: str, bidirectional: bool) -> Recognizer:
    torch.manual_seed(0)
    sizes = DeepSpeech2Config(
        hidden=64, layers=2, channels=8, rnn=rnn, bidirectional=bidirectional, lookahead=7
    )
    return DeepSpeech2(sizes).eval().requires_grad_(False)


def _transformers(kind: str, home: Path) -> Recognizer:
    """The tests' small random networks."""
    from tests.models import tiny_hf, tiny_moonshine, tiny_pieces, tiny_speecht5, tiny_whisper

    if kind == "wav2vec2":
        return tiny_hf.tiny_hf(kind, home)
    if kind in ("parakeet", "lasr", "omniasr"):
        return models.load(f"hf-ctc:{tiny_pieces.save(kind, home / kind)}")
    kinds = {"whisper": tiny_whisper, "moonshine": tiny_moonshine, "speecht5": tiny_speecht5}
    small = kinds[kind]
    small.save(home / kind, small.network())
    return models.load(f"{kind}:{home / kind}")


def _defended(spec: str, home: Path) -> Recognizer:
    """``ds2-an4`` behind a defense; ``{KIND}`` stands for one of the tests' random codecs."""
    if found := re.search(r"{(\w+)}", spec):
        from tests.defenses import tiny_codecs

        spec = spec.replace(found[0], tiny_codecs.save(found[1], home / found[1]))
    return defenses.build(spec).wrap(models.load("ds2-an4"))


def speech(seconds: Sequence[float]) -> Audio:
    """An utterance of the demo for each number, cut or repeated to so many seconds."""
    cuts = sorted(data.load("demo"), key=lambda cut: cut.id)
    waves = list(data.read([cuts[i % len(cuts)] for i in range(len(seconds))]))
    lengths = [round(16_000 * x) for x in seconds]
    return Audio.of([w.repeat(1 + n // len(w))[:n] for w, n in zip(waves, lengths, strict=True)])


def found(model: Recognizer, audio: Audio) -> Found:
    """What ``model`` gives where ``audio`` is."""
    wav = audio.wav.clone().requires_grad_()
    loss = model.loss(replace(audio, wav=wav), TEXTS, Draws(SEEDS))
    (gradient,) = torch.autograd.grad(loss.sum(), wav)
    made = attacks.build(STEP)(model, audio, Untargeted(TEXTS), Draws(SEEDS))
    heard = model.transcribe(audio, Draws(SEEDS))
    return Found(loss.detach().cpu(), gradient.cpu(), (made.wav - audio.wav).cpu(), heard)


def difference(one: Tensor, other: Tensor) -> float:
    """The norm of the difference, relative to that of ``one``; infinite where not finite."""
    if not (torch.isfinite(one).all() and torch.isfinite(other).all()):
        return torch.inf
    return float((one - other).norm() / one.norm().clamp(min=1e-30))


def compare(make: Callable[[], Recognizer], device: str) -> tuple[list[str], bool]:
    """The cells of a row, and whether ``device`` agrees with the processor."""
    audio = speech(RAGGED)
    model = make()
    here, there = found(model, audio), found(model, audio.to(device))
    loss, gradient, step = (
        difference(getattr(here, name), getattr(there, name))
        for name in ("loss", "gradient", "step")
    )
    same = sum(a == b for a, b in zip(here.heard, there.heard, strict=True))
    good = loss <= LOSS and max(gradient, step) <= GRADIENT and same == len(here.heard)
    shown = [f"{value:.1e}" for value in (loss, gradient, step)]
    return [*shown, f"{same} of {len(here.heard)}", waits(model, audio.to(device))], good


def waits(model: Recognizer, audio: Audio) -> str:
    """How often the processor waits for a GPU in one more PGD step."""
    if audio.wav.device.type != "cuda":
        return ""

    def count(steps: int) -> int:
        attack = attacks.build(STEP.replace("steps=1", f"steps={steps}"))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                attack(model, audio, Untargeted(TEXTS), Draws(SEEDS))
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return sum("synchronizing" in str(one.message) for one in seen)

    return str(count(2) - count(1))


def ctc(device: str) -> tuple[list[str], bool]:
    """The CTC loss alone: ragged, with an empty text and one that does not fit."""
    torch.manual_seed(0)
    scores = torch.randn(4, 50, 29)
    frames, sizes = torch.tensor([50, 33, 40, 5]), torch.tensor([8, 4, 0, 8])
    targets = torch.randint(1, 29, (4, 8))

    def loss_of(where: str) -> tuple[Tensor, Tensor]:
        x = scores.to(where).requires_grad_()
        logs = x.log_softmax(-1).transpose(0, 1)
        rest = (targets.to(where), frames.to(where), sizes.to(where))
        loss = F.ctc_loss(logs, *rest, reduction="none", zero_infinity=True)
        return loss.detach().cpu(), torch.autograd.grad(loss.sum(), x)[0].cpu()

    (loss, gradient), (other, slope) = loss_of("cpu"), loss_of(device)
    off = difference(loss, other), difference(gradient, slope)
    cells = [*(f"{value:.1e}" for value in off), "", "", ""]
    return cells, off[0] <= LOSS and off[1] <= GRADIENT


def rows(device: str, only: str) -> Iterator[tuple[str, Callable[[], tuple[list[str], bool]]]]:
    """Every comparison whose name has ``only`` in it."""
    with tempfile.TemporaryDirectory() as folder:
        parts = [*recognizers(Path(folder))]
        for spec in DEFENSES:
            parts.append((spec, lambda spec=spec: _defended(spec, Path(folder))))
        every = [("CTC loss", lambda: ctc(device))]
        every += [(name, lambda make=make: compare(make, device)) for name, make in parts]
        yield from (row for row in every if only in row[0])


def checked(device: str, only: str = "") -> bool:
    """Print a row for each comparison; whether nothing differs."""
    print(f"{HEAD}\n{'|---' * (HEAD.count('|') - 1)}|")
    fine = True
    for name, row in rows(device, only):
        try:
            cells, good = row()
        except (ImportError, MelmoatError) as error:
            missing = isinstance(error, ImportError) or "pip install" in str(error)
            cells, good = ["", "", "", "", ""], missing
            verdict = f"skipped: {one_line(error)}" if missing else f"FAILS: {one_line(error)}"
        except RuntimeError as error:  # what a device does not do
            cells, good, verdict = ["", "", "", "", ""], False, f"FAILS: {one_line(error)}"
        else:
            verdict = "" if good else "DIFFERS"
        fine &= good
        print(f"| {name} | {' | '.join(cells)} | {verdict} |", flush=True)
    return fine


def speed(device: str, spec: str, count: int, half: bool, seconds: float) -> list[str]:
    """Cells of the speed of PGD: utterances x steps a second, peak memory, change of the loss."""
    model = defenses.build(spec).wrap(models.load("ds2-an4"))
    audio, texts = speech([seconds] * count).to(device), [TEXTS[0]] * count
    attack = attacks.build(f"pgd:norm=snr,db=20,steps={STEPS}")
    on_gpu = audio.wav.device.type == "cuda"

    def precision() -> AbstractContextManager[object]:
        kind = audio.wav.device.type
        return torch.autocast(kind, dtype=torch.bfloat16) if half else nullcontext()

    def run() -> float:
        began = time.perf_counter()
        with precision():
            attack(model, audio, Untargeted(texts), Draws(range(count)))
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - began

    run()  # the first call also chooses algorithms and takes memory
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    took = run()
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB" if on_gpu else ""
    with torch.no_grad():
        exact = model.loss(audio, texts, Draws(range(count)))
        with precision():
            rounded = model.loss(audio, texts, Draws(range(count)))
    return [f"{count * STEPS / took:.1f}", memory, f"{difference(exact, rounded.float()):.1e}"]


def measured(device: str, batches: Sequence[int], seconds: float) -> bool:
    """Print the speeds; whether all could be measured."""
    head = "| PGD | utterances | precision | utterances x steps a s | peak memory | loss moves by |"
    print(f"\n{seconds:g} s each\n\n{head}\n{'|---' * (head.count('|') - 1)}|")
    fine = True
    for spec in SPEED:
        for count in batches:
            for half in (False, True):
                try:
                    cells = speed(device, spec, count, half, seconds)
                except (MelmoatError, RuntimeError) as error:
                    full = type(error).__name__ == "OutOfMemoryError"
                    fine &= half or full  # bf16 is a question, not a promise
                    cells = [one_line(error), "", ""]
                name = "bf16" if half else "float32"
                print(f"| {spec} | {count} | {name} | {' | '.join(cells)} |", flush=True)
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", type=int, nargs="*", default=[8, 64, 256])
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="of the utterances that are timed"
    )
    parser.add_argument("--only", default="", help="part of a name: compare no others")
    given = parser.parse_args()
    try:
        usable(given.device)
    except MelmoatError as error:
        sys.exit(f"error: {error}")
    full_precision()
    began = time.perf_counter()
    name = torch.cuda.get_device_name(given.device) if "cuda" in given.device else given.device
    print(f"{name}, PyTorch {torch.__version__}. Relative differences from the processor; at most")
    print(f"{LOSS:g} (loss) and {GRADIENT:g} (gradient, step) are allowed, and no other word.\n")
    fine = checked(given.device, given.only)
    fine &= measured(given.device, given.batches, given.seconds)
    print(f"\n{time.perf_counter() - began:.0f} s. {'All agree.' if fine else 'NOT ALL AGREE.'}")
    sys.exit(not fine)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' small networks
    main()

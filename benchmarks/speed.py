"""Speed of the attack loop, of DeepSpeech2 and of the front-end, as ratios measured in one run.

Run on an idle machine: ``python benchmarks/speed.py``. Each pair is timed in turn (A B A B ...) and
the median of the ratios is printed, so a drifting clock does not decide.
"""

from __future__ import annotations

import argparse
import copy
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from lhotse import MonoCut
from torch import Tensor, nn

from melmoat import data, defenses, models, vocoders
from melmoat.attacks import PGD, Untargeted
from melmoat.audio import Audio
from melmoat.bench.worker import plan
from melmoat.draws import Draws
from melmoat.memory import keep_freed_memory
from melmoat.models.deepspeech2 import MaskedConv, SumRNN
from melmoat.vocoders.layers import Conv, Reflect, Stretch, enter
from melmoat.vocoders.melgan import ResidualBlock

STEPS = 3


def ratio(slow: Callable[[], object], fast: Callable[[], object], rounds: int) -> str:
    """Median of slow/fast over interleaved rounds, with both medians."""
    slow(), fast()
    pairs = []
    for _ in range(rounds):
        times = []
        for call in (slow, fast):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        pairs.append(times)
    ratios = sorted(a / b for a, b in pairs)
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    middle = statistics.median(ratios)
    return f"{middle:6.2f}  [{ratios[0]:.2f}, {ratios[-1]:.2f}]   {a:.3f} s / {b:.3f} s"


Batch = tuple[Audio, list[str], Draws]


def prepare(cuts: list[MonoCut]) -> Batch:
    texts = [cut.supervisions[0].text for cut in cuts]
    return data.read(cuts), texts, Draws(range(len(cuts)))


def attack_loop(rounds: int) -> None:
    model = models.load("ds2-an4")
    cuts = list(data.load("demo"))
    batches = [prepare(batch) for batch in plan(cuts, 8)]
    mixed = prepare(sorted(cuts, key=lambda cut: cut.duration)[::3])
    audio, texts, draws = mixed
    attack = PGD(norm="snr", db=25, steps=STEPS)

    def bare() -> None:
        for _ in range(STEPS):
            wav = audio.wav.clone().requires_grad_()
            loss = model.loss(Audio(wav, audio.lengths), texts, draws).sum()
            torch.autograd.grad(loss, wav)

    def batched(some: list[Batch]) -> None:
        for audio, texts, draws in some:
            attack(model, audio, Untargeted(texts), draws)

    def singly(some: list[Batch]) -> None:
        for audio, texts, _ in some:
            for i, wave in enumerate(audio):
                attack(model, Audio.of([wave]), Untargeted(texts[i : i + 1]), Draws([i]))

    seconds = audio.seconds.tolist()
    print(f"mixed batch: 8 utterances of {min(seconds):.1f} to {max(seconds):.1f} s; {STEPS} steps")
    print("PGD / bare forward + backward      ", ratio(lambda: batched([mixed]), bare, rounds))
    kinds = {"as the runner plans": batches, "of mixed lengths": [mixed]}
    for kind, some in kinds.items():
        name = f"singles / batches of 8 {kind}"
        print(f"{name:35}", ratio(partial(singly, some), partial(batched, some), rounds))


def layers(rounds: int) -> None:
    torch.manual_seed(0)
    frames = torch.linspace(150, 90, 16).long()
    x = torch.randn(16, 150, 656, requires_grad=True)
    padded = SumRNN("lstm", 656, 320, bidirectional=True, norm=False).requires_grad_(False)
    packed = nn.LSTM(656, 320, batch_first=True, bidirectional=True).requires_grad_(False)

    def run_packed() -> None:
        inputs = nn.utils.rnn.pack_padded_sequence(x, frames, batch_first=True)
        out, _ = nn.utils.rnn.pad_packed_sequence(packed(inputs)[0], batch_first=True)
        out.sum().backward()

    def run_padded() -> None:
        padded(x, frames).sum().backward()

    conv = nn.Conv2d(1, 16, (41, 11), stride=(2, 2), padding=(20, 5)).requires_grad_(False)
    block = MaskedConv(conv)
    spectrum = torch.randn(16, 1, 161, 300, requires_grad=True)
    print("packed / padded LSTM, 656 -> 320   ", ratio(run_packed, run_padded, rounds))
    print(
        "Conv2d / ours, first convolution   ",
        ratio(
            lambda: conv(spectrum).sum().backward(),
            lambda: block.convolve(spectrum).sum().backward(),
            rounds,
        ),
    )


def graph_bytes(call: Callable[[], object]) -> int:
    """What the graph of ``call`` holds, each storage once, weights included."""
    held: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        held[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        graph = call()  # alive until all is counted, or addresses would be used again
    total = sum(held.values())
    del graph
    return total


class LayerByLayer(ResidualBlock):
    """The residual block as PyTorch's layers compute it."""

    forward = ResidualBlock.layer_by_layer


def vocoder_layers(rounds: int) -> None:
    ours = vocoders.load("melgan-lab")
    layered = replaced(ours.layers, {ResidualBlock: LayerByLayer})
    one_dimensional = {Conv: nn.Conv1d, Stretch: nn.ConvTranspose1d, Reflect: nn.ReflectionPad1d}
    plain = replaced(layered, one_dimensional)
    mel = torch.randn(8, ours.mel.bands, 200, requires_grad=True)
    large, small = graph_bytes(lambda: plain(mel)), graph_bytes(lambda: ours(mel))
    print(
        f"graph of Conv1d / ours, MelGAN      {large / small:6.2f}   "
        f"{large / 1e6:.0f} MB / {small / 1e6:.0f} MB, 8 utterances of 2.4 s"
    )
    print(
        "Conv1d / channels-last, MelGAN     ",
        ratio(
            lambda: plain(mel).sum().backward(),
            lambda: ours(mel).sum().backward(),
            rounds,
        ),
    )
    for name, want in (("gradient", True), ("speech", False)):
        with torch.set_grad_enabled(want):
            print(
                f"layer by layer / in place, {name:9}",
                ratio(partial(run, layered, mel), partial(run, ours.layers, mel), rounds),
            )


def replaced(layers: nn.Module, others: dict[type[nn.Module], type[nn.Module]]) -> nn.Module:
    """A copy with layers of other classes."""
    made = copy.deepcopy(layers)
    for layer in made.modules():
        layer.__class__ = others.get(type(layer), type(layer))
    return made


def run(layers: nn.Module, mel: Tensor) -> None:
    """A pass, with its gradient if there is one."""
    y = layers(enter(mel))
    if y.requires_grad:
        y.sum().backward()


def memory(rounds: int) -> None:
    """A gradient step before and after freed memory is kept; the rest of the run keeps it."""
    model = defenses.build("mdnf:level=0.15").wrap(models.load("ds2-an4-mg"))
    audio = Audio.of([0.1 * torch.randn(16_000 * 6) for _ in range(8)])
    wav = audio.wav.requires_grad_()

    def step() -> tuple[float, int]:
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
        loss = model.loss(audio, ["STOP"] * len(audio), Draws(range(len(audio)))).sum()
        torch.autograd.grad(loss, wav)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        return time.perf_counter() - began, faults

    def middle() -> tuple[float, float]:
        step(), step()
        seconds, faults = zip(*(step() for _ in range(rounds)), strict=True)
        return statistics.median(seconds), statistics.median(faults)

    slow, many = middle()
    keep_freed_memory()
    fast, few = middle()
    print(
        f"freed memory given back / kept      {slow / fast:6.2f}   {slow:.3f} s / {fast:.3f} s, "
        f"{many:,.0f} / {few:,.0f} page faults a step"
    )


def front_end(rounds: int) -> None:
    vocoder = vocoders.load("melgan-lab")
    flooded = defenses.front_end("mdnf:vocoder=melgan-lab,level=0.15,shaping=flat")
    for seconds in (3, 30):
        audio = Audio.of([0.1 * torch.randn(16_000 * seconds)])
        mel, _ = vocoder.mel(audio)
        name = f"MDNF / bare MelGAN, {seconds} s of audio"
        with torch.no_grad():
            print(
                f"{name:35}",
                ratio(partial(flooded, audio, Draws([0])), partial(vocoder, mel), rounds),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, median [low, high]")
    memory(rounds)
    attack_loop(rounds)
    layers(rounds)
    vocoder_layers(rounds)
    front_end(rounds)


if __name__ == "__main__":
    main()

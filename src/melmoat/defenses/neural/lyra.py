"""Lyra v2: a SoundStream codec of Google (github.com/google/lyra, Apache-2.0), for 16 kHz.

SoundStream is of Zeghidour et al. (2021); here its convolutions are in groups of 64 channels. The
published files run frame by frame, and carry what a frame needs of the ones before it. The networks
here do the same for a whole utterance: every convolution looks back only, on zeros before the first
sample. So nothing is late: frame ``k`` is made of samples up to its own last one, and decodes to
samples from its own first one.

The files have the middle layers in 8-bit integers, and round what passes between these. Here the
weights are what those integers stand for, and nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat import files as file_kinds
from melmoat.defenses.neural.networks import CodecNetwork
from melmoat.defenses.neural.quantiser import Chain, Step
from melmoat.defenses.neural.tflite import NotReadError, Operator, weights
from melmoat.weights import WeightsError, fill

NAME = "lyra"
ENCODER, QUANTISER, DECODER = FILES = (
    "soundstream_encoder.tflite",
    "quantizer.tflite",
    "lyragan.tflite",
)
RATE = 16_000  # Hz
WIDTH = 64  # channels of the first layer, of a group, and of the latents
STRIDES = (5, 2, 2)  # of the encoder; the first layer has one of 16
SLOPE = 0.3
CODEBOOKS, CODES = 46, 16
CONVOLUTIONS = (Operator.CONVOLUTION, Operator.DEPTHWISE, Operator.TRANSPOSED)
FETCH = "`melmoat fetch lyra` brings the three files of Lyra v2"
ENCODING = 1  # the graph of the quantiser's file that finds codes


class Causal(nn.Conv1d):
    """A convolution that looks back only. Shape: ``[B, C, F]`` -> ``[B, C', F / stride]``."""

    def forward(self, x: Tensor) -> Tensor:
        (size,), (stride,), (dilation,) = self.kernel_size, self.stride, self.dilation
        return super().forward(F.pad(x, (dilation * (size - 1) + 1 - stride, 0)))


class CausalTransposed(nn.ConvTranspose1d):
    """One whose input adds to what comes later only. Shape: ``[B, C, F]`` -> ``[B, C', F *
    stride]``."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(x, output_size)[..., : x.shape[-1] * self.stride[0]]


class Residual(nn.Sequential):
    """What three layers make of the input is added to it.

    Args:
        width: channels.
        dilation: of the layer that looks back.
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__(
            nn.LeakyReLU(SLOPE),
            Causal(width, width, 3, dilation=dilation, groups=width),
            Causal(width, width, 1),
            nn.LeakyReLU(SLOPE),
            Causal(width, width, 1, groups=width // WIDTH),
        )

    def forward(self, x: Tensor) -> Tensor:
        added = x
        for layer in self:
            added = layer(added)
        return x + added


def _residuals(width: int) -> Iterator[nn.Module]:
    """They end with the activation before the next layer."""
    yield from (Residual(width, dilation) for dilation in (1, 3, 9))
    yield nn.LeakyReLU(SLOPE)


def encoder() -> nn.Sequential:
    """Shape: ``[B, 1, 320 F]`` -> ``[B, 64, F]``."""
    layers: list[nn.Module] = [Causal(1, WIDTH, 64, 16)]
    width = WIDTH
    for stride in STRIDES:
        down = Causal(width, 2 * width, 2 * stride, stride, groups=width // WIDTH)
        layers += [*_residuals(width), down]
        width *= 2
    return nn.Sequential(*layers, nn.LeakyReLU(SLOPE), Causal(width, WIDTH, 3, groups=4))


def decoder() -> nn.Sequential:
    """Shape: ``[B, 64, F]`` -> ``[B, 1, 320 F]``."""
    width = 8 * WIDTH
    layers: list[nn.Module] = [Causal(WIDTH, width, 3, groups=4), nn.LeakyReLU(SLOPE)]
    for stride in reversed(STRIDES):
        width //= 2
        up = CausalTransposed(2 * width, width, 2 * stride, stride, groups=width // WIDTH)
        layers += [up, *_residuals(width)]
    return nn.Sequential(*layers, CausalTransposed(WIDTH, 1, 64, 16))


class SoundStream(nn.Module):
    """What the three files hold."""

    codebooks: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder(), decoder()
        self.register_buffer("codebooks", torch.zeros(CODEBOOKS, CODES, WIDTH))


class Lyra(CodecNetwork):
    """Lyra v2. Its 46 codebooks have 16 vectors each: 4 bits, 50 times a second."""

    hop, most = 320, CODEBOOKS

    def __init__(self, network: SoundStream) -> None:
        super().__init__(network, RATE)

    def chains(self, count: int) -> Sequence[Chain]:
        same = nn.Identity()
        books: Tensor = self.network.codebooks[:count]
        return [Chain([Step(codes, _nearest(codes), same, same) for codes in books], same, same)]

    def padded(self, samples: int) -> int:
        """Whole frames."""
        return max(1, -(-samples // self.hop)) * self.hop


def _nearest(codes: Tensor) -> Callable[[Tensor], Tensor]:
    def nearest(vectors: Tensor) -> Tensor:
        return (vectors[:, None] - codes).square().sum(2).argmin(1)

    return nearest


def load(folder: Path) -> Lyra:
    """The codec of a folder with the three files, in eval mode with frozen weights.

    Raises:
        WeightsError: a file is missing or damaged, or is of another network.
    """
    network = SoundStream()
    state = {"codebooks": _codebooks(folder / QUANTISER)}
    state |= _layers("encoder", network.encoder, folder / ENCODER)
    state |= _layers("decoder", network.decoder, folder / DECODER)
    fill(network, state, str(folder))
    return Lyra(network).eval()


def _read(path: Path, graph: int, kinds: Collection[int]) -> list[tuple[int, list[Tensor]]]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; {FETCH}")
    try:
        return list(weights(path.read_bytes(), graph, kinds))
    except NotReadError as error:
        raise WeightsError(f"{path}: {file_kinds.obstacle(path) or error}; {FETCH}") from error


def _codebooks(path: Path) -> Tensor:
    found = [codes for _, codes in _read(path, ENCODING, [Operator.SQUARED_DIFFERENCE])]
    try:
        books = torch.cat([codes for (codes,) in found])
    except (ValueError, RuntimeError) as error:
        raise _other(path) from error
    if len(books) != CODEBOOKS:
        raise _other(path)
    return books


def _layers(part: str, network: nn.Module, path: Path) -> dict[str, Tensor]:
    """The state of a network whose layers stand in the order of the file's operators."""
    found, state = iter(_read(path, 0, CONVOLUTIONS)), dict[str, Tensor]()
    try:
        for name, layer in network.named_modules():
            if isinstance(layer, Causal | CausalTransposed):
                # A transposed convolution in groups is one operator a group.
                count = layer.groups if isinstance(layer, CausalTransposed) else 1
                pieces = [_layer(*next(found)) for _ in range(count)]
                weight, bias = (torch.cat(tensors) for tensors in zip(*pieces, strict=True))
                state |= {f"{part}.{name}.weight": weight, f"{part}.{name}.bias": bias}
    except (StopIteration, ValueError, IndexError, RuntimeError) as error:
        raise _other(path) from error
    if next(found, None):
        raise _other(path)
    return state


def _layer(kind: int, stored: list[Tensor]) -> tuple[Tensor, Tensor]:
    """PyTorch's weight and bias. A file has the channels behind, and a width of 1 before them."""
    weight, bias = stored[-2:]  # a transposed convolution has its size before them
    if kind == Operator.TRANSPOSED:
        return weight[:, :, 0].permute(2, 0, 1), bias
    if kind == Operator.DEPTHWISE:
        return weight[0, :, 0].T[:, None], bias
    return weight[:, :, 0].permute(0, 2, 1), bias


def _other(path: Path) -> WeightsError:
    return WeightsError(f"{path}: of another network than Lyra v2; {FETCH}")

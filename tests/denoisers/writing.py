"""Files of random denoisers, in the layouts of the published ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from melmoat.denoisers import GTCRN
from melmoat.denoisers.gtcrn_files import CONVOLUTIONS, MATRICES, RECURRENT, SLOPES

READ = "ReadVariableOp/resource:0"
FIRST = {
    "dense_2/kernel:0": (128, 257),
    "dense_2/bias:0": (257,),
    "lstm_4_W": (1, 512, 257),
    "lstm_4_R": (1, 512, 128),
    "lstm_4_B": (1, 1024),
    "lstm_5_W": (1, 512, 128),
    "lstm_5_R": (1, 512, 128),
    "lstm_5_B": (1, 1024),
}
SECOND = {
    "conv1d_2/kernel:0": (256, 512, 1),
    "conv1d_3/kernel:0": (512, 256, 1),
    f"model_2/instant_layer_normalization_1/mul/{READ}": (256,),
    f"model_2/instant_layer_normalization_1/add_1/{READ}": (256,),
    "model_2/dense_3/Tensordot/Reshape_1:0": (128, 256),
    f"model_2/dense_3/BiasAdd/{READ}": (256,),
    f"model_2/lstm_6/MatMul/{READ}": (256, 512),
    f"model_2/lstm_6/MatMul_1/{READ}": (128, 512),
    f"model_2/lstm_6/BiasAdd/{READ}": (512,),
    f"model_2/lstm_7/MatMul/{READ}": (128, 512),
    f"model_2/lstm_7/MatMul_1/{READ}": (128, 512),
    f"model_2/lstm_7/BiasAdd/{READ}": (512,),
}


def write_onnx(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """An ONNX file of these weights and no operators."""
    import onnx

    weights = [onnx.numpy_helper.from_array(x.numpy(), name) for name, x in tensors.items()]
    graph = onnx.helper.make_graph([], "g", [], [], initializer=weights)
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())


def dtln(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A random DTLN's two files; what they hold."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    made = []
    for number, sizes in ((1, FIRST), (2, SECOND)):
        tensors = {n: 0.1 * torch.randn(size, generator=generator) for n, size in sizes.items()}
        write_onnx(folder / f"model_{number}.onnx", tensors)
        made.append(tensors)
    return made[0], made[1]


def random_gtcrn() -> GTCRN:
    """A random GTCRN whose batch norms are not the identity."""
    torch.manual_seed(0)
    network = GTCRN()
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.copy_(0.5 + torch.rand_like(buffer))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval().requires_grad_(False)


def gtcrn(path: Path) -> None:
    """A random GTCRN as a checkpoint of its authors' training."""
    torch.save({"epoch": 1, "optimizer": {}, "model": random_gtcrn().state_dict()}, path)


def gtcrn_onnx(path: Path) -> None:
    """The same network, as its authors' export names and folds it."""
    state = random_gtcrn().state_dict()
    tensors: dict[str, Tensor] = {"onnx::GRU_7": torch.zeros(2, 1, 4)}
    number = 100

    def add(kind: str, value: Tensor) -> None:
        nonlocal number
        number += 1 + number % 3  # with gaps, and over a power of ten
        tensors[f"onnx::{kind}_{number}"] = value.contiguous()

    for conv, norm in CONVOLUTIONS:
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + 1e-5).sqrt()
        bias = state[f"{conv}.bias"] - state[f"{norm}.running_mean"]
        add("Conv", state[f"{conv}.weight"] * scale[:, None, None, None])
        add("Conv", bias * scale + state[f"{norm}.bias"])
    for part in SLOPES:
        add("PRelu", state[f"{part}.weight"][:, None, None])
    for part in MATRICES:
        add("MatMul", state[f"{part}.weight"].T)
    for part in RECURRENT:
        ways = [end for end in ("", "_reverse") if f"{part}.bias_ih_l0{end}" in state]

        def gates(name: str, part: str = part, ways: list[str] = ways) -> Tensor:
            rows = (state[f"{part}.{name}_l0{way}"].chunk(3) for way in ways)
            return torch.stack([torch.cat([z, r, n]) for r, z, n in rows])

        biases = torch.cat([gates("bias_ih"), gates("bias_hh")], dim=1)
        if len(ways) == 2:
            add("GRU", biases)
        add("GRU", gates("weight_ih"))
        add("GRU", gates("weight_hh"))
        if len(ways) == 1:
            add("GRU", biases)
    done = [name for pair in CONVOLUTIONS for name in pair] + [*SLOPES, *MATRICES, *RECURRENT]
    for key, value in state.items():
        part = key.rpartition(".")[0]
        named = key.endswith(".bias") and part in MATRICES
        if (part not in done or named) and not key.endswith("num_batches_tracked"):
            tensors[key.replace("depth_conv.", "depth_conv.ConvTranspose2d.")] = value
    write_onnx(path, tensors)

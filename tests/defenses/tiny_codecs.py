"""Small random codecs of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

CODEBOOKS = 4
SCALE = {"encodec": 0.1, "dac": 0.1, "mimi": 1.0}  # of code vectors, about that of latents
SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "encodec": ("Encodec", {  # 125 frames a second of 4 bits: 0.5 kbit/s a codebook
        "sampling_rate": 8_000, "upsampling_ratios": [8, 8], "num_filters": 4, "hidden_size": 8,
        "codebook_size": 16, "num_lstm_layers": 1, "target_bandwidths": [0.5, 1.0, 1.5, 2.0],
    }),
    "dac": ("Dac", {  # an odd stride, which loses samples
        "sampling_rate": 16_000, "downsampling_ratios": [2, 5], "encoder_hidden_size": 4,
        "decoder_hidden_size": 16, "codebook_size": 16, "codebook_dim": 4, "n_codebooks": CODEBOOKS,
    }),
    "mimi": ("Mimi", {  # one frame of codes is two of the convolutions
        "sampling_rate": 24_000, "upsampling_ratios": [6, 4], "num_filters": 4, "hidden_size": 8,
        "codebook_size": 16, "codebook_dim": 4, "vector_quantization_hidden_dimension": 4,
        "num_quantizers": CODEBOOKS, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 2, "intermediate_size": 8, "sliding_window": 20,
        "upsample_groups": 8, "layer_scale_initial_scale": 0.5,
    }),
}  # fmt: skip


def network(kind: str, **changes: Any) -> Any:
    """A codec of which each codebook is finer than the one before it. The first code vector of each
    is zero, so that another codebook never makes the residual larger."""
    import transformers

    name, sizes = SIZES[kind]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**sizes, **changes})
    made = getattr(transformers, f"{name}Model")(config).eval().requires_grad_(False)
    for parameter in made.parameters():  # biases and norms that are not the identity
        if parameter.dim() == 1:
            parameter.add_(0.1 * torch.randn_like(parameter))
        elif kind == "dac":  # its random weights are so small that nothing comes through
            parameter.mul_(5)
    for i, book in enumerate(codebooks(kind, made)):
        codes = 0.7**i * SCALE[kind] * torch.randn_like(book)
        codes[0] = 0
        book.copy_(codes)
    return made


def codebooks(kind: str, made: Any) -> list[torch.Tensor]:
    """Its code vectors, in the order in which they are used. Shape: ``[K, D]`` each."""
    quantizer = made.quantizer
    if kind == "dac":
        return [layer.codebook.weight for layer in quantizer.quantizers]
    if kind == "encodec":
        return [layer.codebook.embed for layer in quantizer.layers]
    content = quantizer.semantic_residual_vector_quantizer.layers
    sound = quantizer.acoustic_residual_vector_quantizer.layers
    return [layer.codebook.embed_sum for layer in [*content, *sound]]


def save(kind: str, folder: Path, **changes: Any) -> str:
    """The folder of such a codec, written there."""
    network(kind, **changes).save_pretrained(folder)
    return str(folder)

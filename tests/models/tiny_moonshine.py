"""A small random Moonshine and what lies beside one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file

from melmoat.models.moonshine import tokens as tokenizers

WORDS = ["t", "h", "e", "\u2581", "th", "the", "\u2581the"]  # each longer one of two before it


def tokens() -> list[bytes]:
    """As the package has them: named ones, bytes, pieces, and some that are no text."""
    first = [name.encode() for name in tokenizers.NAMED]
    pieces = [*WORDS[4:], *WORDS[:4], "<<ST_0>>", "<<ST_1>>"]
    return [*first, *(bytes([b]) for b in range(256)), *(piece.encode() for piece in pieces)]


def network(seed: int = 0, **changes: Any) -> Any:
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "vocab_size": len(tokens()),
        "hidden_size": 20,  # heads of 10, of which 8 are turned
        "intermediate_size": 24,
        "encoder_num_hidden_layers": 2,
        "decoder_num_hidden_layers": 2,
        "encoder_num_attention_heads": 2,
        "decoder_num_attention_heads": 2,
    }
    config = transformers.MoonshineConfig(**{**sizes, **changes})
    made = transformers.MoonshineForConditionalGeneration(config).eval()
    for name, weight in made.named_parameters():  # far from the small initial ones
        if "norm" in name:
            weight.data += 0.1 * torch.randn_like(weight)
        else:
            weight.data = torch.randn_like(weight) * (1.0 if "encoder_attn" in name else 0.3)
    return made


def save(folder: Path, made: Any) -> Path:
    folder.mkdir(exist_ok=True)
    made.config.save_pretrained(folder)
    state = {k: v.contiguous() for k, v in made.state_dict().items() if k != "proj_out.weight"}
    save_file(state, folder / "model.safetensors")
    tokenizers.made(tokens()).save(str(folder / "tokenizer.json"))
    (folder / "generation_config.json").write_text(json.dumps({"max_length": 12}))
    return folder

"""A small random SpeechT5 and what lies beside one."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]  # as published, and in this order
LETTERS = ["\u2581", *"etaoinhsrdlumwcfgypbvk'xjqz", "T", "I", ",", "."]
SIZES: dict[str, Any] = {
    "vocab_size": len(SPECIAL) + len(LETTERS) + 2,  # and <mask> and <ctc_blank>, as published
    "hidden_size": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 24,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "encoder_max_relative_position": 4,  # fewer than the frames
    "max_text_positions": 20,
    "max_speech_positions": 12,  # fewer than the frames, too
}


def network(seed: int = 1, **changes: Any) -> Any:
    torch.manual_seed(seed)
    made = transformers.SpeechT5ForSpeechToText(transformers.SpeechT5Config(**{**SIZES, **changes}))
    for name, weight in made.named_parameters():  # far from the small initial ones
        if "norm" in name:
            weight.data += 0.1 * torch.randn_like(weight)
        elif "conv_layers" not in name:
            large = any(part in name for part in ("encoder_attn", "feed_forward", "embed_tokens"))
            weight.data = torch.randn_like(weight) * (1.0 if large else 0.3)
    return made.eval().requires_grad_(False)


def _number(value: int) -> bytes:
    """Seven bits a byte, the lower ones first."""
    return bytes([value & 127 | 128]) + _number(value >> 7) if value > 127 else bytes([value])


def _field(number: int, value: bytes | int) -> bytes:
    """A field of a message: a number, or text."""
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    return _number(number << 3 | 2) + _number(len(value)) + value


def sentencepiece(letters: Sequence[str] = LETTERS, charsmap: bytes = b"") -> bytes:
    """A model of characters as sentencepiece writes one."""
    kinds = [*((name, 2 if name == "<unk>" else 3) for name in SPECIAL), *((x, 1) for x in letters)]
    pieces = [
        _field(1, text.encode()) + _number(2 << 3 | 5) + struct.pack("<f", -1.0) + _field(3, kind)
        for text, kind in kinds
    ]
    trainer = _field(3, 4)  # of characters; behind it the tokens of <unk>, <s>, </s> and <pad>
    trainer += _field(40, 3) + _field(41, 0) + _field(42, 2) + _field(43, 1)
    rules = _field(1, b"own" if charsmap else b"identity") + _field(2, charsmap)
    return b"".join(_field(1, piece) for piece in pieces) + _field(2, trainer) + _field(3, rules)


def save(folder: Path, made: Any) -> Path:
    folder.mkdir(exist_ok=True)
    made.config.save_pretrained(folder)
    state = made.state_dict()
    state = {k: v.contiguous() for k, v in state.items() if not k.endswith("lm_head.weight")}
    save_file(state, folder / "model.safetensors")
    (folder / "spm_char.model").write_bytes(sentencepiece())
    (folder / "generation_config.json").write_text(json.dumps({"max_length": 13}))
    return folder

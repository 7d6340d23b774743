"""A small random Whisper and what lies beside one, and CTranslate2's file of it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers import models as tokens
from torch import Tensor

LANGUAGES = ("en", "de", "fr")
SPECIAL = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{code}|>" for code in LANGUAGES),
    "<|translate|>",
    "<|transcribe|>",
    "<|notimestamps|>",
]


def tokenizer() -> Tokenizer:
    """One token a byte, then Whisper's special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(tokens.BPE({c: i for i, c in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(t, special=True) for t in SPECIAL])
    return made


def network(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    size = tokenizer().get_vocab_size()
    config = transformers.WhisperConfig(
        vocab_size=size,
        d_model=16,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_target_positions=32,
        pad_token_id=256,
        bos_token_id=256,
        eos_token_id=256,
        decoder_start_token_id=257,
    )
    made = transformers.WhisperForConditionalGeneration(config).eval()
    for name, weight in made.named_parameters():  # far from the small initial ones
        if "norm" not in name:
            kinds = {"encoder_attn": 1.0, "encoder.embed_positions": 0.03, "conv": 0.3}
            scale = next((v for k, v in kinds.items() if k in name), 0.3)
            weight.data = torch.randn_like(weight) * scale
    return made


def save(folder: Path, made: Any, multilingual: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    made.config.save_pretrained(folder)
    state = {k: v.contiguous() for k, v in made.state_dict().items() if k != "proj_out.weight"}
    save_file(state, folder / "model.safetensors")
    tokenizer().save(str(folder / "tokenizer.json"))
    generation = {"is_multilingual": multilingual, "begin_suppress_tokens": [256]}
    (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


def save_ct2(folder: Path, made: Any, parts: int = 1, version: int = 6) -> Path:
    """The same as CTranslate2 lays it out, in float16."""
    folder.mkdir(exist_ok=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"suppress_ids_begin": [256]}))
    state = made.state_dict()
    found: dict[str, Tensor] = {}

    def linear(key: str, *names: str) -> None:
        weights = [state[f"{name}.weight"] for name in names]
        biases = [state.get(f"{n}.bias", w.new_zeros(len(w))) for n, w in zip(names, weights)]  # noqa: B905
        found[f"{key}/weight"], found[f"{key}/bias"] = torch.cat(weights), torch.cat(biases)

    def norm(key: str, name: str) -> None:
        found[f"{key}/gamma"], found[f"{key}/beta"] = state[f"{name}.weight"], state[f"{name}.bias"]

    for side in ("encoder", "decoder"):
        top = f"model.{side}"
        found[f"{side}/position_encodings/encodings"] = state[f"{top}.embed_positions.weight"]
        found[f"{side}/num_heads"] = torch.tensor(2, dtype=torch.int16)
        norm(f"{side}/layer_norm", f"{top}.layer_norm")
        for i in range(2):
            key, name = f"{side}/layer_{i}", f"{top}.layers.{i}"
            own = [f"{name}.self_attn.{x}_proj" for x in "qkv"]
            linear(f"{key}/self_attention/linear_0", *own)
            linear(f"{key}/self_attention/linear_1", f"{name}.self_attn.out_proj")
            norm(f"{key}/self_attention/layer_norm", f"{name}.self_attn_layer_norm")
            linear(f"{key}/ffn/linear_0", f"{name}.fc1")
            linear(f"{key}/ffn/linear_1", f"{name}.fc2")
            norm(f"{key}/ffn/layer_norm", f"{name}.final_layer_norm")
            if side == "decoder":
                cross = f"{name}.encoder_attn"
                linear(f"{key}/attention/linear_0", f"{cross}.q_proj")
                linear(f"{key}/attention/linear_1", f"{cross}.k_proj", f"{cross}.v_proj")
                linear(f"{key}/attention/linear_2", f"{cross}.out_proj")
                norm(f"{key}/attention/layer_norm", f"{name}.encoder_attn_layer_norm")
    for conv in ("conv1", "conv2"):
        linear(f"encoder/{conv}", f"model.encoder.{conv}")
    found["decoder/embeddings/weight"] = state["model.decoder.embed_tokens.weight"]
    data = _file(found, version)
    size = -(-len(data) // parts)
    for n in range(parts):
        suffix = f".part{n + 1}" if parts > 1 else ""
        (folder / f"model.bin{suffix}").write_bytes(data[n * size : (n + 1) * size])
    return folder


def _file(found: dict[str, Tensor], version: int) -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    out = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(found))
    for key, value in found.items():
        value = value if value.dtype == torch.int16 else value.half()
        raw = value.numpy().tobytes()
        sizes = struct.pack(f"<{value.dim()}I", *value.shape)
        kind = 2 if value.dtype == torch.int16 else 4
        out += text(key) + bytes([value.dim()]) + sizes + bytes([kind])
        out += struct.pack("<I", len(raw)) + raw
    return out + struct.pack("<I", 0)

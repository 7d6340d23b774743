"""A small random SpeechT5 and what lies beside one."""

from __future__ import annotations

import base64
import json
import struct
import zlib
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

# What sentencepiece 0.2.3 wrote: characters of "the fox, it's on", and rules that spell \u00e9 as
# e, \ufb01 as fi, \u2019 as ' and \u00a0 as a space.
TRAINED = zlib.decompress(
    base64.b85decode(
        "c-mFd1yB@G9LMp;9ym8UfC!!<7A6LAieR4D-C_r!+zFC$2V#RYIEpQbiHb9#h#gp<7^tY&*oxha9p7b~opEPA^Z&"
        "iwH}i63TUlc;`{)FZvqrX;Z46O?L2BDhwl?Vh{~Qw$`mZg?vaBgePSB-!Wo64+*(y?3Sgg%al0{8!IzM0UlH{%?q"
        "nb==3RY8ynj+L>R#RL_a&&UGc6CUUM2@7%lSF|e6-rhvnOfO4#%zrC4>FoUB8)+fNm^meOcz)Qqd_C`g(MOx3*}X"
        "Os-3a~5uZ+t50FF(RU&3M)5k`LQsmNfutym<zzL2}R$mt7Q4ST9%|J!CfFVRBR7Dk3gDYyFI%=UN+)x{JQ3v%=4-"
        "McBJv`6|4bd2$@P-$fq6wO#8Cs$RTET$U@IhO&L3^}AM|41EbV65jL3eaRPxL@<^g>_sfiL=D0QzGP24V;XV;F{F"
        "1ct*Oeh5SWMqwn32*PNX5Q1QYVhq9&hDbzUETUjWG-6=EIK*N+;xG{tFd36D6;qI)95kk58fIb!irBPS)Y(YH9K7"
        "8wL=tr_=3^cfDpv@Lu?S1C1j~?&6fDO|tiWol!dk4sI;3I))?*{maLiVSTrNU7c@wr^GqxfF+mMMJU|M1qc47~9V"
        ";}Y+3;S^p2XGjNkc}faiX7xBW8wsk;}lNfH1cp3XK)VrxPbGxhyq;3C0xZ7T*o!sKp}47Chp)i?%^&T;65HIdydC"
        "=gr|6d=Xi#fc!Ae=rJM!c;62{qBR=3WKH&?B@eN<`1K;rrKk)~@Oa47K?wlz^c-reN;ZgeNm@uQ+!(xv83kQ9{m;"
    )
)


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

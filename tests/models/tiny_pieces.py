"""Small random Parakeet, LASR and Omnilingual ASR networks with their extractors and tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as tokens

PIECES = ["\u2581", *"abcdefghijklmnopqrstuvwxyz'", "\u2581go", "on"]
ENCODER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "subsampling_conv_channels": 4,
    "conv_kernel_size": 5,
}


def parts(kind: str) -> tuple[Any, Any, Any]:
    """Network, extractor and tokenizer."""
    torch.manual_seed(0)
    if kind != "lasr":
        vocabulary = {"<unk>": 0} | {piece: i + 1 for i, piece in enumerate(PIECES)}
        made = Tokenizer(tokens.BPE(vocabulary, [("o", "n")], unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Metaspace()
        tokenizer = transformers.ParakeetTokenizer(
            tokenizer_object=made, pad_token="<pad>", unk_token="<unk>"
        )
    if kind == "omniasr":
        extractor = transformers.OmniASRFeatureExtractor()
        encoder = {
            **{key: ENCODER[key] for key in list(ENCODER)[:4]},
            "conv_dim": [8] * 7,
            "num_conv_pos_embeddings": 8,
            "num_conv_pos_embedding_groups": 2,
        }
        config = transformers.OmniASRCTCConfig(
            vocab_size=len(PIECES) + 2, audio_config=encoder, blank_token_id=0
        )
        network = transformers.OmniASRForCTC(config)
    elif kind == "parakeet":
        encoder = {**ENCODER, "num_mel_bins": 80, "subsampling_factor": 2}
        extractor = transformers.ParakeetFeatureExtractor()
        config = transformers.ParakeetCTCConfig(
            vocab_size=len(PIECES) + 2, pad_token_id=len(PIECES) + 1, encoder_config=encoder
        )
        network = transformers.ParakeetForCTC(config)
    else:
        scores = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((p, -2.0) for p in PIECES)]
        tokenizer = transformers.LasrTokenizer(vocab=scores, extra_ids=0)
        extractor = transformers.LasrFeatureExtractor()
        encoder = {**ENCODER, "subsampling_conv_kernel_size": 3, "subsampling_conv_stride": 1}
        config = transformers.LasrCTCConfig(
            vocab_size=len(scores), pad_token_id=0, encoder_config=encoder
        )
        network = transformers.LasrForCTC(config)
    for name, weight in network.named_parameters():  # far from the small initial ones
        if "norm" not in name:
            weight.data = torch.randn_like(weight) * 0.3
    blank = getattr(config, "blank_token_id", config.pad_token_id)
    network.ctc_head.bias.data[blank] -= 3  # or all would be blank
    return network.eval().requires_grad_(False), extractor, tokenizer


def save(kind: str, folder: Path) -> Path:
    for part in parts(kind):
        part.save_pretrained(folder)
    return folder

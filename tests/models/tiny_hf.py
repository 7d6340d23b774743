"""Small random CTC networks of transformers, with their extractor and tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from melmoat.models.hf_ctc import HFCTC

# As published: special tokens first, the delimiter among them, no order of the alphabet.
TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": len(TOKENS),
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "ctc_loss_reduction": "sum",
    "initializer_range": 0.3,
}
LAYER = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("wav2vec2", {}),  # group norm, as the base models
    "wav2vec2-large": ("wav2vec2", LAYER),
    "wav2vec2-adapted": ("wav2vec2", {**LAYER, "add_adapter": True, "num_adapter_layers": 1}),
    "hubert": ("hubert", {}),
    "hubert-large": ("hubert", LAYER),
    "hubert-batchnorm": ("hubert", {**LAYER, "conv_pos_batch_norm": True}),
    "wavlm": ("wavlm", {}),
    "wavlm-large": ("wavlm", LAYER),
    "unispeech": ("unispeech", LAYER),
    "unispeech-sat": ("unispeech-sat", LAYER),
    "data2vec": ("data2vec-audio", {"conv_pos_kernel_size": 5, "num_conv_pos_embedding_groups": 2}),
    "sew": ("sew", {"squeeze_factor": 2, "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
                    "conv_stride": [5, 2, 2, 2, 2, 2, 2]}),
    "conformer": ("wav2vec2-conformer", {**LAYER, "conv_depthwise_kernel_size": 5}),
}  # fmt: skip


def network(kind: str) -> Any:
    import transformers

    name, changes = KINDS[kind]
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(name, **{**SIZES, **changes})
    made = transformers.AutoModelForCTC.from_config(config)
    for parameter in made.parameters():  # biases and norms that are not the identity
        if parameter.dim() == 1:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return made.eval().requires_grad_(False)


def extractor(normalise: bool = True) -> Any:
    import transformers

    return transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise, return_attention_mask=True)


def tokenizer(folder: Path, vocabulary: Any = None, **options: Any) -> Any:
    import transformers

    given = vocabulary or {token: i for i, token in enumerate(TOKENS)}
    (folder / "vocab.json").write_text(json.dumps(given))
    return transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), **options)


def tiny_hf(kind: str, folder: Path, normalise: bool = True) -> HFCTC:
    return HFCTC(network(kind), extractor(normalise), tokenizer(folder)).eval()

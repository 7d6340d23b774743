"""A small random sentence model, in a folder as sentence-transformers writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from melmoat.semantic.loading import MEAN

WORDS = ["a", "the", "cat", "dog", "sat", "ran", "on", "under", "mat", "road", "go", "stop", "it"]
PIECES = ["##s", "##ing", "'"]
MARKS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
LONGEST = 12


def tokenizer() -> Any:
    ids = {token: i for i, token in enumerate([*MARKS.values(), *WORDS, *PIECES])}
    made = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    made.enable_padding(length=32)  # as the published file: whoever reads it must not follow
    made.enable_truncation(6)
    return made


def save(folder: Path, **changes: Any) -> Path:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": len(MARKS) + len(WORDS) + len(PIECES),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 32,
    }
    network = transformers.BertModel(transformers.BertConfig(**{**sizes, **changes}))
    for name, weight in network.named_parameters():
        if "LayerNorm" not in name:
            weight.data = 0.5 * torch.randn_like(weight)
    network.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer(), **MARKS).save_pretrained(
        folder
    )
    write(folder / "1_Pooling" / "config.json", {MEAN: True, "pooling_mode_cls_token": False})
    write(folder / "sentence_bert_config.json", {"max_seq_length": LONGEST})
    return folder


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))

"""Moonshine's tokenizer: Llama's byte pairs, from a ``tokenizer.json`` or from a bare list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from melmoat import files
from melmoat.models.seq2seq import Vocabulary
from melmoat.models.whisper.text import written
from melmoat.weights import WeightsError

SPACE = "\u2581"
NAMED = ("<unk>", "<s>", "</s>")  # and behind them the 256 bytes
FIRST = len(NAMED) + 256  # token of several bytes
SPECIAL = "<<ST_0>>"  # the first of those that are no text


def load(path: Path) -> Any:
    """The tokenizer of a file, as ``tokenizers`` has it.

    Raises:
        WeightsError: not a tokenizer's file.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises this very class
        reason = files.obstacle(path) or f"not a tokenizer ({error})"
        raise WeightsError(f"{path}: {reason}") from error


def made(tokens: Sequence[bytes]) -> Any:
    """The tokenizer of a list of tokens in the order of Llama's.

    Sentencepiece joins the pair whose token has the best score, and there the scores fall in the
    order of the list. So the list says what is joined: every two tokens that make a third one.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, normalizers
    from tokenizers.models import BPE

    names = [*NAMED, *(f"<0x{byte:02X}>" for byte in range(256))]
    names += [token.decode() for token in tokens[FIRST:]]
    special = names.index(SPECIAL)
    ids = {name: i for i, name in enumerate(names)}
    text = dict(list(ids.items())[FIRST:special])
    merges = []
    for token in text:
        pairs = ((token[:i], token[i:]) for i in range(1, len(token)))
        known = [pair for pair in pairs if pair[0] in text and pair[1] in text]
        merges += sorted(known, key=lambda pair: (text[pair[0]], text[pair[1]]))
    tokenizer = Tokenizer(BPE(ids, merges, unk_token=NAMED[0], fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens(
        [AddedToken(name, special=True) for name in (*NAMED, *names[special:])]
    )
    return tokenizer


def vocabulary(tokenizer: Any, config: Any, longest: int) -> Vocabulary:
    """How the network writes text as tokens.

    Args:
        tokenizer: of ``tokenizers``.
        config: the network's.
        longest: most tokens of a text, in decoding and in a loss.
    """

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(written(text), add_special_tokens=False).ids
        return ids

    def decode(tokens: Sequence[int]) -> str:
        return str(tokenizer.decode(list(tokens), skip_special_tokens=True))

    ends = config.eos_token_id
    end = ends[0] if isinstance(ends, list) else ends
    return Vocabulary(encode, decode, end, longest=longest, room=longest)

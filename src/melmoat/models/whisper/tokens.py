"""Reads Whisper's tokenizer from any of its file formats, and makes the vocabulary and the
prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from melmoat.models.seq2seq import Vocabulary
from melmoat.models.whisper.text import written
from melmoat.weights import WeightsError

# What says the same as tokenizer.json where there is none, as recipes of fine-tuning left it.
SLOW = (
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
)


def load(hf: ModuleType, folder: Path) -> Any:
    """The tokenizer of a folder, as an object of ``tokenizers``.

    Raises:
        WeightsError: its files are missing or are not a tokenizer.
    """
    from tokenizers import AddedToken, Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file() and not all((folder / name).is_file() for name in SLOW[:2]):
        raise WeightsError(
            f"{path}: no such file, nor vocab.json and merges.txt; save_pretrained of the "
            "processor writes it"
        )
    try:
        if path.is_file():
            return Tokenizer.from_file(str(path))
        made = hf.WhisperTokenizer.from_pretrained(folder).backend_tokenizer
    except Exception as error:  # tokenizers raises this very class
        raise WeightsError(f"{path}: not a tokenizer ({error})") from error
    # Those files do not say which of the added tokens are no text.
    added = [token.content for token in made.get_added_tokens_decoder().values()]
    marks = [token for token in added if token.startswith("<|") and token.endswith("|>")]
    made.add_special_tokens([AddedToken(token, special=True) for token in marks])
    return made


def _id(tokenizer: Any, token: str) -> int:
    number: int | None = tokenizer.token_to_id(token)
    if number is None:
        raise WeightsError(f"its tokenizer has no {token}; is it Whisper's?")
    return number


def silence(tokenizer: Any) -> int:
    """The token which says that nobody speaks; older versions of transformers name it
    differently."""
    number: int | None = tokenizer.token_to_id("<|nospeech|>")
    return _id(tokenizer, "<|nocaptions|>") if number is None else number


def vocabulary(tokenizer: Any, network: Any, settings: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary with which the network writes text."""

    def encode(text: str) -> list[int]:
        text = written(text)
        ids: list[int] = tokenizer.encode(f" {text}" if text else "", add_special_tokens=False).ids
        return ids

    def within(name: str) -> tuple[int, ...]:
        return tuple(i for i in settings.get(name) or () if i < network.config.vocab_size)

    # Behind it come the timestamps, which some tokenizers take for text.
    last = _id(tokenizer, "<|notimestamps|>")

    def decode(tokens: Sequence[int]) -> str:
        return str(tokenizer.decode([t for t in tokens if t <= last], skip_special_tokens=True))

    return Vocabulary(
        encode,
        decode,
        end=_id(tokenizer, "<|endoftext|>"),
        # The other half is for the text before, as the published decoder has it.
        longest=network.config.max_target_positions // 2,
        room=network.config.max_target_positions - 4,  # the longest prompt
        never=within("suppress_tokens"),
        not_first=within("begin_suppress_tokens"),
    )


def prompt(
    tokenizer: Any, multilingual: bool, language: str | None, task: str
) -> tuple[list[int], dict[str, int]]:
    """The tokens that texts begin with, and the languages to choose from if none is given: the
    token of each, by its code."""
    start, plain = _id(tokenizer, "<|startoftranscript|>"), _id(tokenizer, "<|notimestamps|>")
    if not multilingual:
        if language not in (None, "en") or task != "transcribe":
            raise ValueError("this Whisper is English-only: no other language and no translation")
        return [start, plain], {}
    known = range(start + 1, min(_id(tokenizer, f"<|{t}|>") for t in ("transcribe", "translate")))
    languages = {str(tokenizer.id_to_token(i)).strip("<|>"): i for i in known}
    if language is not None and language not in languages:
        raise ValueError(f"unknown language {language!r}; known: {', '.join(sorted(languages))}")
    spoken = languages[language] if language else known[0]
    begins = [start, spoken, _id(tokenizer, f"<|{task}|>"), plain]
    return begins, {} if language else languages

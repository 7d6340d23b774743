"""SpeechT5's tokenizer: single characters, from the file of a SentencePiece model.

The file is a message of Protocol Buffers (sentencepiece_model.proto of google/sentencepiece). It is
read here, so the package ``sentencepiece`` is not needed. Where every piece is one character, its
segmentation is that: normalise, write spaces as a mark, and look each character up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melmoat import files
from melmoat.models.seq2seq import Vocabulary
from melmoat.text import TextError, capitals
from melmoat.weights import WeightsError

SPACE = "\u2581"
NORMAL, USER_DEFINED = 1, 4  # types of pieces that are text


@dataclass(frozen=True)
class Characters:
    """What such a file says.

    Args:
        pieces: the character of each token; None where a token is no text.
        normalise: brings the characters of a text to one spelling.
        prefix: whether a text begins with the mark of a space.
    """

    pieces: tuple[str | None, ...]
    normalise: Callable[[str], str]
    prefix: bool


def load(path: Path) -> Characters:
    """Read the file of a SentencePiece model.

    Raises:
        WeightsError: it is none, or one of pieces of several characters.
    """
    try:
        data = path.read_bytes()
        top = list(_fields(data))
        pieces = tuple(_piece(dict(_fields(message))) for field, message in top if field == 1)
        if not any(pieces):
            raise ValueError("it has no characters")
        rules = dict(_fields(next((message for field, message in top if field == 3), b"")))
        normalise = _normaliser(_bytes(rules.get(2, b"")))
    except (OSError, ValueError) as error:
        reason = files.obstacle(path) if path.is_file() else None
        raise WeightsError(f"{path}: {reason or f'no SentencePiece model ({error})'}") from error
    long = [piece for piece in pieces if piece and len(piece) > 1]
    if long:
        raise WeightsError(
            f"{path}: expected a SentencePiece model of single characters, as SpeechT5's "
            f"spm_char.model; it has {', '.join(map(repr, long[:4]))}"
        )
    return Characters(pieces, normalise, prefix=rules.get(3, 1) != 0)


def _piece(message: dict[int, int | bytes]) -> str | None:
    """The text of a piece. Its fields: 1 is the text, 3 the type."""
    text = _bytes(message.get(1, b"")).decode()
    return text if message.get(3, NORMAL) in (NORMAL, USER_DEFINED) else None


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where text was expected")
    return value


def _fields(data: int | bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a message.

    Raises:
        ValueError: not a message, or cut off.
    """
    data, at = _bytes(data), 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                raise ValueError("it ends within a number")
            byte, at = data[at], at + 1
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        field, wire = divmod(number(), 8)
        if wire == 0:
            yield field, number()
            continue
        if wire not in (1, 2, 5):
            raise ValueError(f"a field of unknown kind {wire}")
        size = number() if wire == 2 else {1: 8, 5: 4}[wire]
        if at + size > len(data):
            raise ValueError("it is cut off")
        yield field, data[at : at + size]
        at += size


def _normaliser(charsmap: bytes) -> Callable[[str], str]:
    """What sentencepiece's compiled rules of spelling do.

    Raises:
        ValueError: they cannot be read.
    """
    if not charsmap:
        return str
    from tokenizers.normalizers import Precompiled

    try:
        rules = Precompiled(charsmap)
    except Exception as error:  # tokenizers raises this very class
        raise ValueError(f"its rules of spelling cannot be read: {error}") from error
    normalise: Callable[[str], str] = rules.normalize_str
    return normalise


def vocabulary(characters: Characters, config: Any, longest: int) -> Vocabulary:
    """How the network writes text as tokens.

    A text in capitals only, as in many corpora, is put in small letters, which the published
    network writes. So is every text if no token is a capital.

    Args:
        config: the network's.
        longest: most tokens that decoding writes.
    """
    pieces = characters.pieces
    ids = {piece: i for i, piece in reversed(list(enumerate(pieces))) if piece}
    cased = any(piece != piece.lower() for piece in ids)

    def encode(text: str) -> list[int]:
        small = not cased or text in (text.upper(), capitals(text))
        words = characters.normalise(text.lower() if small else text).split()
        marked = SPACE.join([""] * (characters.prefix and bool(words)) + words)
        if unknown := sorted(set(marked) - ids.keys()):
            raise TextError(
                f"{text[:40]!r} has characters that this recognizer never writes: "
                f"{' '.join(unknown)}; write numbers and signs as words"
            )
        return [ids[c] for c in marked]

    def decode(tokens: Sequence[int]) -> str:
        known = (pieces[token] for token in tokens if token < len(pieces))
        return "".join(piece for piece in known if piece).replace(SPACE, " ").strip()

    return Vocabulary(
        encode,
        decode,
        config.eos_token_id,
        longest=longest,
        room=config.max_text_positions,
        never=(config.pad_token_id,),
    )

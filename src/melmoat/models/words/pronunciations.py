# ruff: noqa: RUF001
"""How words are pronounced, in the phonemes of a recognizer.

Recognizers were taught by some grapheme-to-phoneme model; for the commonest words its own answers
are asked for, and kept in the user's cache folder, since asking takes seconds. For the others
CMUdict is translated to the International Phonetic Alphabet.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import islice, product
from pathlib import Path

from melmoat import files

Phonemes = tuple[str, ...]
Pronouncer = Callable[[Sequence[str]], Sequence[Phonemes]]  # words in small letters

IPA = {
    "AA": "ɑ",
    "AE": "æ",
    "AH": "ə ʌ",  # without stress CMUdict does not tell them apart
    "AO": "ɔ",
    "AW": "aʊ",
    "AY": "aɪ",
    "B": "b",
    "CH": "t͡ʃ",
    "D": "d",
    "DH": "ð",
    "EH": "ɛ",
    "ER": "ɝ",
    "EY": "eɪ",
    "F": "f",
    "G": "g",
    "HH": "h",
    "IH": "ɪ",
    "IY": "i",
    "JH": "d͡ʒ",
    "K": "k",
    "L": "l",
    "M": "m",
    "N": "n",
    "NG": "ŋ",
    "OW": "oʊ",
    "OY": "ɔɪ",
    "P": "p",
    "R": "ɹ",
    "S": "s",
    "SH": "ʃ",
    "T": "t",
    "TH": "θ",
    "UH": "ʊ",
    "UW": "u",
    "V": "v",
    "W": "w",
    "Y": "j",
    "Z": "z",
    "ZH": "ʒ",
}
READINGS = {phoneme: tuple(several.split()) for phoneme, several in IPA.items()}
ENGLISH = frozenset(" ".join(IPA.values()).split())
VOWELS = frozenset(phoneme for phoneme in ENGLISH if set(phoneme) & set("aeiouæɑɔəɛɝɪʊʌ"))
MOST = 16  # spellings of one pronunciation


def translated(pronunciation: Sequence[str]) -> list[Phonemes]:
    """A pronunciation of CMUdict in the International Phonetic Alphabet, in all its readings.

    >>> translated(["AH", "P"])
    [('ə', 'p'), ('ʌ', 'p')]
    """
    readings = (READINGS[phoneme] for phoneme in pronunciation)
    return list(islice(product(*readings), MOST))


def english(
    lexicon: Mapping[str, Sequence[Phonemes]], common: Sequence[str], own: Pronouncer, version: str
) -> dict[str, list[Phonemes]]:
    """The pronunciations of each word of ``lexicon``.

    Args:
        lexicon: in the phonemes of CMUdict.
        common: its words that ``own`` is asked for, as far as they have a vowel letter: others are
            abbreviations. An answer without a vowel, or in other phonemes than those of English,
            is not taken.
        own: the recognizer's grapheme-to-phoneme.
        version: names ``own``. Where it differs, kept answers are not used.
    """
    found = {
        word: [reading for one in several for reading in translated(one)]
        for word, several in lexicon.items()
    }
    asked = [word for word in common if word.isalpha() and set(word) & set("aeiouy")]
    for word, phonemes in zip(asked, kept(asked, own, version), strict=True):
        if ENGLISH.issuperset(phonemes) and VOWELS.intersection(phonemes):
            found[word] = [phonemes]
    return found


def kept(words: Sequence[str], own: Pronouncer, version: str) -> list[Phonemes]:
    """What ``own`` answers, from a file of the cache folder if it was asked the same before.

    The file's name is a digest of ``version`` and ``words``, and a digest of what it holds stands
    in it: another question, or a torn or altered file, is asked anew. A folder that cannot be
    written is no error.
    """
    question = hashlib.sha256(json.dumps([version, *words]).encode()).hexdigest()
    path = files.cache() / f"pronunciations-{question[:16]}.json"
    if (answers := _read(path)) is not None and len(answers) == len(words):
        return answers
    answers = [tuple(phonemes) for phonemes in own(words)]
    text = json.dumps(answers, ensure_ascii=False)
    _write(path, json.dumps({"sha256": _digest(text), "answers": text}, ensure_ascii=False))
    return answers


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> list[Phonemes] | None:
    try:
        held = json.loads(path.read_text("utf-8"))
        if _digest(held["answers"]) != held["sha256"]:
            return None
        return [tuple(phonemes) for phonemes in json.loads(held["answers"])]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=".", delete=False
        ) as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError:
        pass

"""Text in the spelling of recognizers, and as label indices."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from melmoat.errors import MelmoatError
from melmoat.writing_systems import tight

LABELS = "_'ABCDEFGHIJKLMNOPQRSTUVWXYZ "  # deepspeech.pytorch: blank 0, apostrophe 1, A 2, space 28

# Marks that separate two words like a space: hyphens and dashes of several scripts, dots in a row,
# marks of Ethiopic; other marks (also of Arabic and Hindi) with no space around them, but not
# between two digits (10,000), nor a colon behind one (3:e); and the point, the colon and the stroke
# of a fraction right between two digits: 3.5 is not 35. What is before a mark need not be a letter:
# words may end in a vowel sign, an accent that stands apart, or another mark.
_MARKS = ",;!?\u060c\u061b\u061f\u0964\u0965"
BREAK = re.compile(
    r"[-\u2010-\u2015\u2212\u05be\u1361-\u1368\u2026/_]|\.{2,}"
    rf"|(?<=[^\s\d_])[:{_MARKS}](?=[^\W_])|(?<=\d)[{_MARKS}](?=[^\W\d_])"
    r"|(?<=\d)[.:\u2044](?=\d)"
)
APOSTROPHE = re.compile("[\u2019\u02bc\uff07]")
# What is typed for one between two letters: an accent alone, a quotation mark, a prime. Look for it
# before a compatible form is taken, which turns an acute accent into a space with a mark.
TYPED = re.compile(r"(?<=[^\W\d_])[`\u00b4\u2018\u2032](?=[^\W\d_])")
JOINERS = "\u200c\u200d"  # invisible, but they shape letters of Persian, Sinhala and others
# Scripts in which a letter without its mark counts as the same letter: accents, and the points of
# Arabic and Hebrew. In other scripts a mark is a vowel, or makes another letter.
_ACCENTED = ("LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW")
_FOREIGN = frozenset("\u00df\u00e6\u00f8\u00e5\u00f0\u00fe\u0142\u0111\u0151\u00f5\u00e3")


class TextError(MelmoatError):
    """A text that a recognizer's labels cannot write, or a text where several are expected."""


def listed(texts: Sequence[str]) -> Sequence[str]:
    """Check that ``texts`` is a sequence with one text per utterance, and return it.

    Raises:
        TextError: it is a single text, which Python would treat as a sequence of letters.
    """
    if isinstance(texts, str | bytes):
        raise TextError(
            f"expected a list of one text per utterance, got the single text {texts!r}; "
            f"write [{texts!r}] for one utterance, [{texts!r}] * len(audio) for a batch"
        )
    return texts


def normalise(text: str) -> str:
    """Upper case, accents of Latin letters removed, hyphens to spaces, other punctuation dropped,
    spaces collapsed. Other scripts keep their marks, which are vowels, or make other letters.

    >>> normalise("It\u2019s  a caf\u00e9\u2014well-known!")
    "IT'S A CAFE WELL KNOWN"
    """
    text = BREAK.sub(" ", apostrophes(text, "NFKD").upper())
    letters, base = [], ""
    for c in text:
        if is_mark(c):
            letters.append(c if base and not is_of(base, "LATIN") else "")
        elif c.isalnum():
            letters.append(c)
            base = c
        elif unicodedata.category(c) != "Cf":
            letters.append("'" if c == "'" else " " if c.isspace() else "")
            base = ""
    return " ".join(unicodedata.normalize("NFC", "".join(letters)).split())


def apostrophes(text: str, form: Literal["NFC", "NFKC", "NFKD"]) -> str:
    """``text`` in one of Unicode's forms, with one kind of apostrophe."""
    composed = unicodedata.normalize("NFC", text)  # where it follows a letter with an accent
    return APOSTROPHE.sub("'", unicodedata.normalize(form, TYPED.sub("'", composed)))


def same_text(text: str, other: str) -> bool:
    """Whether two texts are equal up to case, accents and punctuation.

    >>> same_text("It\u2019s a caf\u00e9.", "ITS A CAFE")
    True
    """
    first, second = (tight(normalise(t).replace("'", "")) for t in (text, other))
    return first == second


def canonical(text: str) -> str:
    """``text`` in one of Unicode's equivalent spellings, and without spaces if its script has none.
    This is the default form for comparisons."""
    return tight(" ".join(unicodedata.normalize("NFC", text).split()))


def capitals(text: str) -> str:
    """``text`` in capitals, without punctuation, and without merging different words: a letter
    stays small if its capital is that of another letter, or is two letters.

    >>> capitals("\u00d6ffne die Stra\u00dfe, schnell!")
    '\u00d6FFNE DIE STRA\u00dfE SCHNELL'
    """
    text = BREAK.sub(" ", apostrophes(text, "NFC"))
    return words_of("".join(map(_capital, text)), keep=f"'{JOINERS}")


def _capital(letter: str) -> str:
    upper = letter.upper()
    return upper if len(upper) == 1 and upper.lower() == letter else letter


def words_of(text: str, keep: str = "", instead: str = "") -> str:
    """Keep letters, digits, their marks and the characters in ``keep``. Punctuation and signs
    become ``instead``. Invisible characters, such as joiners and direction marks, are removed."""
    letters, based = [], False
    for c in text:
        kind = unicodedata.category(c)
        if c.isalnum() or c in keep:
            letters.append(c)
            based = True
        elif kind[0] == "M":  # one without a letter, as emoji have, is none
            letters.append(c if based else "")
        elif kind != "Cf":
            letters.append(" " if c.isspace() else instead)
            based = False
    return " ".join("".join(letters).split())


def is_mark(letter: str) -> bool:
    """Whether ``letter`` is a vowel sign, an accent or another mark of the letter before it."""
    return unicodedata.category(letter)[0] == "M"


def is_of(letter: str, *scripts: str) -> bool:
    """Whether a letter is of one of these scripts, such as ``LATIN``."""
    return unicodedata.name(letter, "").startswith(scripts)


def spell(text: str, labels: str) -> str:
    """``text`` in the characters of ``labels``: each letter with the case, accents and code points
    of the labels. Marks that are not in the labels become spaces where they separate two words, as
    hyphens do, and are dropped elsewhere.

    Letters, digits and vowel signs that the labels cannot write stay, so that :func:`encode` can
    name them.

    >>> spell("Caf\u00e9-Bar!", "_ABCEFR\u00c9 ")
    'CAF\u00c9 BAR'
    >>> spell("Caf\u00e9-Bar!", LABELS)
    'CAFE BAR'
    """
    known = set(labels[1:])
    written = unicodedata.normalize("NFC", " ".join(text.split()))
    written = TYPED.sub(lambda mark: mark[0] if mark[0] in known else "'", written)
    written = BREAK.sub(lambda mark: mark[0] if set(mark[0]) <= known else " ", written)
    if _dotless(known):
        written = _turkic_case(written, known)
    if "\u03c2" in known and "\u03a3" not in known:  # a small sigma at the end of a word
        written = re.sub(r"(?<=\w)\u03a3(?!\w)", "\u03c2", written)
    forms = _by_base(labels)
    return " ".join("".join(_spelled(c, known, forms) for c in _clusters(written)).split())


def _dotless(known: set[str]) -> bool:
    """Whether labels belong to a language with a dotless i (Turkish or similar), and not to
    many."""
    apart = {"\u0131", "i"} <= known or {"\u0130", "I"} <= known
    return apart and not {c.lower() for c in known} & _FOREIGN


def _turkic_case(text: str, known: set[str]) -> str:
    """``text`` with each i in the case of the labels; other letters are handled elsewhere."""
    if {"\u0130", "I"} <= known and "\u0131" not in known:
        return text.replace("i", "\u0130").replace("\u0131", "I")
    if "I" in known:
        return text
    return text.replace("I", "\u0131").replace("\u0130", "i")


def _clusters(text: str) -> Iterator[str]:
    """Each letter with the marks after it."""
    cluster = ""
    for c in text:
        if cluster and not is_mark(c):
            yield cluster
            cluster = ""
        cluster += c
    if cluster:
        yield cluster


@lru_cache(maxsize=16)
def _by_base(labels: str) -> dict[str, list[tuple[str, str]]]:
    """Labels and their marks, by the letter that they begin with; most marks first."""
    forms: dict[str, list[tuple[str, str]]] = {}
    for label in labels[1:]:
        base, marks = (parts := unicodedata.normalize("NFD", label))[0], parts[1:]
        forms.setdefault(base, []).append((label, marks))
    for several in forms.values():
        several.sort(key=lambda form: -len(form[1]))
    return forms


def _spelled(cluster: str, known: set[str], forms: dict[str, list[tuple[str, str]]]) -> str:
    letter = cluster[0]
    cases = (cluster, cluster.upper(), cluster.lower())
    folded = unicodedata.normalize("NFKD", cluster)
    if any(map(is_mark, folded)) and is_of(letter, *_ACCENTED):
        folded = "".join(c for c in folded if not is_mark(c))
    other = {"\u2019": "'", "'": "\u2019", "\u03c2": "\u03c3"}.get(letter, "")
    for form in (*cases, folded.upper(), folded.lower(), other):
        if form and (spelled := _in_labels(form, known, forms)) is not None:
            return spelled
    if letter.isalnum():
        # A letter that is known without its marks, such as one more vowel sign than they have.
        return cluster
    return " " if letter.isspace() or BREAK.fullmatch(letter) else ""


def _in_labels(text: str, known: set[str], forms: dict[str, list[tuple[str, str]]]) -> str | None:
    """``text`` written with as few labels as possible; None if it is impossible."""
    if set(text) <= known:
        return text
    parts = unicodedata.normalize("NFD", text)
    if set(composed := unicodedata.normalize("NFC", text)) <= known:
        return composed
    written = ""
    while parts:
        end = next((i for i, c in enumerate(parts) if i and not is_mark(c)), len(parts))
        head = _cluster_in_labels(parts[0], parts[1:end], known, forms)
        if head is None:
            return None
        written, parts = written + head, parts[end:]
    return written


def _cluster_in_labels(
    base: str, marks: str, known: set[str], forms: dict[str, list[tuple[str, str]]]
) -> str | None:
    for label, label_marks in forms.get(base, ()):
        rest = list(marks)
        try:
            for mark in label_marks:
                rest.remove(mark)
        except ValueError:
            continue
        if set(rest) <= known:
            return label + "".join(rest)
    return None


def encode(text: str, labels: str = LABELS) -> Tensor:
    """Indices of ``text``'s characters in ``labels``. Shape: ``[len(text)]``, int64.

    Raises:
        TextError: a character that is not among the labels (write digits as words).
    """
    index = {c: i for i, c in enumerate(labels) if i > 0}
    unknown = sorted({c for c in text if c not in index})
    if unknown:
        raise TextError(
            f"{text!r}: this recognizer cannot write {unknown}; it writes {labels[1:]!r} "
            "(spell numbers as words)"
        )
    return torch.tensor([index[c] for c in text], dtype=torch.long)


def single(token: str) -> str:
    """The single code point of a vocabulary's token; the token itself if it is not a single one.

    >>> single("\u0921\u093c") == "\u095c", single("e\u0301"), single("th")
    (True, '\u00e9', 'th')
    """
    composed = unicodedata.normalize("NFC", token)
    if len(composed) == 1:
        return composed
    return token if len(token) == 1 else _uncomposed().get(composed, token)


@lru_cache(maxsize=1)
def _uncomposed() -> dict[str, str]:
    """Letters of one code point that Unicode never composes, by their decomposed form."""
    plane: Iterable[str] = map(chr, range(0x340, 0xFFFF))
    pairs = ((unicodedata.normalize("NFC", c), c) for c in plane if not c.isascii())
    return {text: c for text, c in pairs if len(text) > 1}

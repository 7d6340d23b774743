"""Reading hama's recognizers from the installed package, or from a wheel of another version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from melmoat import weights
from melmoat.models.hama import conformer, naming, se_cnn
from melmoat.models.hama.files import GRAPHEMES, VOCABULARY, Package, package
from melmoat.models.hama.graphemes import GraphemeToPhoneme
from melmoat.models.hama.phonemes import BOUNDARY, Phonemes
from melmoat.models.hama.recognizer import Hama, Network, Words
from melmoat.models.words import english
from melmoat.weights import WeightsError, fill

FILES: dict[Network, str] = {"conformer": "asr_waveform", "se": "asr_waveform_fp16"}
ELSEWHERE: dict[Network, str] = {
    "conformer": "hama 1.7.0 has it",
    "se": "hama 1.3.13 has it: `pip download --no-deps hama==1.3.13`, then hama:se,wheel=FILE",
}


def load(network: Network, wheel: Path | None = None, words: bool = False) -> Hama:
    """The recognizer, in eval mode with frozen weights.

    Args:
        network: which one.
        wheel: of hama, to read from instead of the installed package.
        words: whether it writes words (:mod:`melmoat.models.words`), not phonemes.

    Raises:
        MelmoatError: hama is not installed, or onnx where it is needed.
        WeightsError: the network is not in this version, or its file is damaged.
    """
    source = package(wheel)
    inventory = phonemes(source)
    model = Hama(network, inventory, _words(inventory, source) if words else None)
    stem = _stem(network, source)
    found = source.tensors(stem)
    try:
        state = _state(network, found)
    except (KeyError, StopIteration) as error:
        raise _other(source, stem, error) from error
    fill(model, state, str(source.path))
    return model


def save(path: Path, model: Hama, card: Mapping[str, Any], half: bool = False) -> None:
    """Write the network of ``model`` as safetensors, with its symbols and ``card`` in the header.

    ``half`` stores 16-bit floats.
    """
    header = {
        "architecture": f"hama {model.name}",
        "symbols": list(model.inventory.symbols),
        "card": dict(card),
    }
    weights.write(path, model, header, half)


def tuned(path: Path, network: Network | None = None, words: bool = False) -> Hama:
    """A recognizer of :func:`save`, in eval mode with frozen weights.

    Args:
        network: which one it must be; None for whichever it is.
        words: as for :func:`load`.

    Raises:
        MelmoatError: hama is not installed: it has the phonemes of words.
        WeightsError: weights of something else, or of other symbols than the installed hama has.
    """
    header = weights.read_header(path)
    found = str(header.get("architecture"))
    known = {f"hama {name}": name for name in FILES if network in (None, name)}
    if found not in known:
        names = " or ".join(known)
        raise WeightsError(f"{path}: weights of {found}; expected {names}, as melmoat writes them")
    source = package()
    inventory = phonemes(source)
    model = Hama(known[found], inventory, _words(inventory, source) if words else None)
    if header["symbols"] != list(model.inventory.symbols):
        raise WeightsError(
            f"{path}: trained with the symbols of another version of hama than is installed; 1.7.0 "
            "is the one that the extra installs"
        )
    fill(model, weights.read(path), str(path))
    model.card = header.get("card", {})
    return model


def phonemes(source: Package) -> Phonemes:
    """The symbols and the grapheme-to-phoneme of a version of hama."""
    vocabulary = source.json(VOCABULARY)
    model = GraphemeToPhoneme(vocabulary["encoder"], vocabulary["decoder"])
    encoder, decoder = map(source.tensors, GRAPHEMES)
    try:
        state = naming.graphemes(encoder, decoder)
    except (KeyError, StopIteration) as error:
        raise _other(source, GRAPHEMES[0], error) from error
    fill(model, state, str(source.path))
    return Phonemes(model, vocabulary["decoder"])


def _words(inventory: Phonemes, source: Package) -> Words:
    """A decoder that finds words in the probabilities of hama's symbols."""
    symbols = inventory.symbols

    def own(words: Sequence[str]) -> list[tuple[str, ...]]:
        return [tuple(symbols[i] for i in one) for one in inventory.pronounced(words)]

    answers = sha256(b"".join(source.read(str(source.file(stem))) for stem in GRAPHEMES))
    return english.phonemes(symbols, BOUNDARY, own, f"hama {answers.hexdigest()}")


def depended(network: Network) -> list[Path]:
    """The installed files that a recognizer depends on."""
    source = package()
    stems = (_stem(network, source), *GRAPHEMES)
    names = (*map(source.file, stems), VOCABULARY)
    return [source.path / name for name in names if name is not None]


def _stem(network: Network, source: Package) -> str:
    stem = FILES[network]
    if source.file(stem) is None:
        raise WeightsError(f"{source.path}: no {stem} in this version; {ELSEWHERE[network]}")
    return stem


def _state(network: Network, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if network == "conformer":
        return naming.conformer(found, conformer.BLOCKS)
    return naming.se_cnn(found, len(se_cnn.DILATIONS), se_cnn.LAYERS)


def _other(source: Package, stem: str, error: Exception) -> WeightsError:
    return WeightsError(
        f"{source.path}: {stem} holds another network than is known here ({error!r}); hama 1.7.0 "
        "and 1.3.13 are known"
    )

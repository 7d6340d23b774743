"""The table of recognizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from melmoat import custom
from melmoat.assets import asset
from melmoat.errors import MelmoatError
from melmoat.facts import Finder, Origin, Part, rests_on
from melmoat.models import checkpoints, hf_load
from melmoat.models import custom as own_recognizer
from melmoat.models.base import Recognizer
from melmoat.models.decoding import Decoder
from melmoat.models.decoding import beam as beam_decoder
from melmoat.models.deepspeech2 import DeepSpeech2
from melmoat.models.domain import Domain
from melmoat.models.hama import letters as hama_letters
from melmoat.models.hama import load as hama_load
from melmoat.models.hama.recognizer import Network
from melmoat.models.hf_ctc import HFCTC, OTHER, written
from melmoat.models.moonshine import loading as moonshine_files
from melmoat.models.speecht5 import loading as speecht5_files
from melmoat.models.whisper import loading as whisper_files
from melmoat.models.whisper.spoken import SpokenLanguage
from melmoat.models.words.english import letters
from melmoat.models.words.lm import files
from melmoat.normalisers import Choice, WhisperChoice, by_name
from melmoat.spec import Registry
from melmoat.weights import WeightsError

Decoding = Literal["auto", "lexicon"]
HUB = ("name", "revision")  # options that files, or a commit, replace in a cell's key

# Of 251 training utterances 1.2 % are below, of 79 of LibriSpeech dev-clean 97.5 %
# (docs/model-cards.md).
AN4 = Domain(
    speech="spelled words, numbers, dates, names and commands (AN4)",
    least=-0.15,
    instead='pip install "melmoat[offline]" and --model whisper:tiny.en, or '
    '"melmoat[moonshine]" and --model moonshine:ort:moonshine-voice',
)


Lettered = TypeVar("Lettered", DeepSpeech2, hama_letters.Letters)


def _decoded(model: Lettered, beam: int, decoder: Decoding) -> Lettered:
    if found := _decoder(model.labels, beam, decoder):
        model.decoder = found
    return model


def _decoder(labels: str, beam: int, decoder: Decoding) -> Decoder | None:
    """What these options ask for; None for the greedy decoder that recognizers come with."""
    if decoder == "lexicon":
        if beam:
            raise MelmoatError("decoder=lexicon searches words; beam is of a search of letters")
        return letters(labels)
    return beam_decoder(beam) if beam else None


def _resting(*names: str) -> Finder:
    """On shipped weights of these names, and on the lexicon where it is used."""

    return lambda args: Origin([*map(asset, names), *_lexicon(args)])


def _lexicon(args: Mapping[str, Any]) -> list[Path]:
    return files() if args["decoder"] == "lexicon" else []


@rests_on(_resting("ds2-an4.safetensors"))
def ds2_an4(beam: int = 0, decoder: Decoding = "auto") -> Recognizer:
    """The DeepSpeech2 that ships: 5.9 M parameters, trained on AN4."""
    model = _decoded(checkpoints.load(asset("ds2-an4.safetensors")), beam, decoder)
    model.domain = AN4
    return model


TUNED_DS2 = {  # what each is
    "ds2-an4-mg": "``ds2-an4``, fine-tuned on speech that ``melgan-lab`` resynthesised",
    "ds2-an4-noise": "``ds2-an4``, fine-tuned on loud white noise, to stand behind ``rs``",
    "ds2-an4-wg": "``ds2-an4``, fine-tuned on speech that ``pwg-lab`` resynthesised",
    "ds2-an4-wgn": "The control of ``ds2-an4-mg``: the same fine-tuning without resynthesis",
}


def _tuned_ds2(name: str, what: str) -> Callable[..., Recognizer]:
    """The factory of a ``ds2-an4`` that ships, fine-tuned."""

    @rests_on(_resting(f"{name}.safetensors"))
    def tuned(beam: int = 0, decoder: Decoding = "auto") -> Recognizer:
        return _decoded(checkpoints.load(asset(f"{name}.safetensors")), beam, decoder)

    tuned.__doc__ = f"{what}."
    return tuned


@rests_on(_resting("conformer-lab.safetensors"))
def conformer_lab(beam: int = 0, decoder: Decoding = "auto") -> Recognizer:
    """Letters of read English by the Conformer of ``hama``, trained on LibriSpeech; it ships."""
    return _decoded(hama_letters.load(asset("conformer-lab.safetensors")), beam, decoder)


@rests_on(_resting())
def deepspeech2(path: Path, beam: int = 0, decoder: Decoding = "auto") -> Recognizer:
    """A DeepSpeech2 that ``melmoat train asr`` wrote."""
    return _decoded(checkpoints.load(path), beam, decoder)


@rests_on(_resting())
def deepspeech_pytorch(
    path: Path,
    beam: int = 0,
    pad: Literal["zeros", "reflect"] = "zeros",
    decoder: Decoding = "auto",
) -> Recognizer:
    """A checkpoint of deepspeech.pytorch, release 2 or 3.

    ``pad`` is the padding of its spectrograms: zeros with librosa 0.10 and later, reflection
    before. ``beam`` is the width of a prefix beam search; 0 decodes greedily. ``decoder=lexicon``
    writes English words (``docs/recognizers.md``).
    """
    return _decoded(checkpoints.load_deepspeech_pytorch(path, pad), beam, decoder)


def _hama_files(args: Mapping[str, Any]) -> Origin:
    own = [] if args["wheel"] else hama_load.depended(args["network"])
    return Origin([*own, *_lexicon(args)])


@rests_on(_hama_files)
def hama(
    network: Network,
    wheel: Path | None = None,
    weights: Path | None = None,
    decoder: Literal["lexicon", "phonemes"] = "lexicon",
) -> Recognizer:
    """English by a CTC network for phonemes that the package hama carries (extra ``hama``).

    ``conformer`` (2.0 M parameters) is in hama 1.7.0, which the extra installs. ``se`` (2.1 M,
    convolutions with squeeze-and-excitation) is in hama 1.3.13: ``pip download --no-deps
    hama==1.3.13`` fetches its ``wheel``. ``weights`` is a file that ``melmoat train asr`` wrote.
    ``decoder=lexicon`` finds the words in the phonemes' probabilities; ``decoder=phonemes`` writes
    the phonemes, and errors are counted in them.
    """
    if weights is not None and wheel is not None:
        raise MelmoatError("hama: weights are of the installed version; leave out wheel")
    if weights is None:
        return hama_load.load(network, wheel, decoder == "lexicon")
    return hama_load.tuned(weights, network, decoder == "lexicon")


def _letters_files(args: Mapping[str, Any]) -> Origin:
    own = [] if args["weights"] else [*hama_load.depended("conformer"), *files()]
    return Origin([*own, *_lexicon(args)])


@rests_on(_letters_files)
def letters_of_hama(
    weights: Path | None = None, beam: int = 0, decoder: Decoding = "auto"
) -> Recognizer:
    """English letters by the Conformer of ``hama``, as ``melmoat train asr`` wrote its ``weights``.

    Without ``weights`` it is one to train (extra ``hama``): its last layer is made from the one
    for phonemes, and half of what it writes is wrong. ``beam`` is the width of a prefix beam
    search; 0 decodes greedily. ``decoder=lexicon`` writes English words (``docs/recognizers.md``).
    """
    if weights is None:
        model = hama_letters.untrained(hama_load.load("conformer"))
    else:
        model = hama_letters.load(weights)
    return _decoded(model, beam, decoder)


TUNED_HAMA = {  # what each is
    "hama-mg": "``hama:conformer``, fine-tuned on speech that ``melgan-lab`` resynthesised",
    "hama-wg": "``hama:conformer``, fine-tuned on speech that ``pwg-lab`` resynthesised",
    "hama-wgn": "The control of ``hama-mg``: the same fine-tuning without resynthesis",
    "hama-at": "``hama:conformer``, fine-tuned on attacked speech",
}


def _tuned_hama(name: str, what: str) -> Callable[..., Recognizer]:
    """The factory of a ``hama:conformer`` that ships, fine-tuned."""

    def files(args: Mapping[str, Any]) -> Origin:
        inventory = hama_load.depended("conformer")
        return Origin([asset(f"{name}.safetensors"), *inventory, *_lexicon(args)])

    @rests_on(files)
    def tuned(decoder: Literal["lexicon", "phonemes"] = "lexicon") -> Recognizer:
        return hama_load.tuned(asset(f"{name}.safetensors"), "conformer", decoder == "lexicon")

    tuned.__doc__ = f"{what} (extra ``hama``).\n\n``decoder`` is as for ``hama``."
    return tuned


def _hf_files(args: Mapping[str, Any]) -> Origin:
    found, also = hf_load.origin(args["name"], args["revision"])
    return Origin([*found, *_resting()(args).files], also, instead=HUB)


@rests_on(_hf_files)
def hf_ctc(
    name: str,
    beam: int = 0,
    language: str | None = None,
    normaliser: Choice = "auto",
    decoder: Decoding = "auto",
    revision: str | None = None,
) -> Recognizer:
    """wav2vec 2.0, HuBERT, MMS, Parakeet and other CTC models of transformers (extra ``hf``).

    ``name`` is a name on the hub, or a folder.

    ``language`` chooses the adapter of a multilingual MMS model, such as ``fra``. Texts are
    compared in its labels, letter for letter, unless another ``normaliser`` is named.
    ``decoder=lexicon`` writes English words (``docs/recognizers.md``). ``revision`` is a branch,
    tag or commit of the hub's model.
    """
    model = hf_load.load(name, language, revision)
    if normaliser != "auto":
        model.normaliser = by_name(normaliser)
    if not isinstance(model, HFCTC):
        if beam or decoder != "auto":
            raise WeightsError(
                f"{name} writes pieces of words, which are decoded greedily; drop beam and decoder"
            )
        return model
    if found := _decoder(model.labels.rstrip(OTHER), beam, decoder):
        model.decoder = written(found)
    return model


@rests_on(custom.origin)
def python(target: str, normaliser: Choice = "auto", **options: str) -> Recognizer:
    """Your own recognizer: ``python:MODULE:FACTORY`` imports MODULE and calls FACTORY.

    ``normaliser`` replaces its own. Other options go to FACTORY.
    """
    model = own_recognizer.load(target, options)
    if normaliser != "auto":
        vars(model)["normaliser"] = by_name(normaliser)
    return model


def _moonshine_origin(args: Mapping[str, Any]) -> Origin:
    chosen = (args[key] for key in ("name", "language", "normaliser", "revision"))
    return Origin(*moonshine_files.origin(*chosen), instead=HUB)


@rests_on(_moonshine_origin)
def moonshine(
    name: str,
    language: str = "en",
    beam: int = 0,
    normaliser: WhisperChoice = "auto",
    compression_ratio_threshold: float | None = None,
    revision: str | None = None,
) -> Recognizer:
    """Moonshine, which writes tokens from the waveform, from the hub or a folder (extra ``hf``).

    ``name`` is a name on the hub, a folder, or ``ort:`` and a folder or package of onnxruntime's
    files: ``moonshine:ort:moonshine-voice`` is tiny in 8 bits (extra ``moonshine``).

    ``language`` is what it writes, which its files do not say; texts are compared as Whisper's of
    that language unless another ``normaliser`` is named. ``beam`` is the width of a beam search; 0
    decodes greedily. ``compression_ratio_threshold=2.4`` cuts a text that is a loop
    (``docs/recognizers.md``). ``revision`` is a branch, tag or commit of the hub's model.
    """
    chosen = (name, language, beam, normaliser, compression_ratio_threshold, revision)
    return moonshine_files.load(*chosen)


def _speecht5_origin(args: Mapping[str, Any]) -> Origin:
    return Origin(speecht5_files.origin(args["name"], args["revision"]), instead=HUB)


@rests_on(_speecht5_origin)
def speecht5(
    name: str,
    beam: int = 0,
    normaliser: Choice = "auto",
    compression_ratio_threshold: float | None = None,
    revision: str | None = None,
) -> Recognizer:
    """SpeechT5, which writes characters from the waveform, from the hub or a folder (extra ``hf``).

    ``name`` is a name on the hub, such as ``microsoft/speecht5_asr``, or a folder.

    ``beam`` is the width of a beam search; 0 decodes greedily. Texts are compared without case and
    punctuation unless a ``normaliser`` is named. ``compression_ratio_threshold=2.4`` cuts a text
    that is a loop (``docs/recognizers.md``). ``revision`` is a branch, tag or commit of the hub's
    model.
    """
    return speecht5_files.load(name, beam, normaliser, compression_ratio_threshold, revision)


def _whisper_origin(args: Mapping[str, Any]) -> Origin:
    chosen = (args[key] for key in ("name", "language", "task", "normaliser", "revision"))
    return Origin(*whisper_files.origin(*chosen), instead=HUB)


@rests_on(_whisper_origin)
def whisper(
    name: str,
    language: str | None = None,
    task: Literal["transcribe", "translate"] = "transcribe",
    beam: int = 0,
    pad: float = 1.0,
    normaliser: WhisperChoice = "auto",
    no_speech_threshold: float | None = None,
    logprob_threshold: float | None = None,
    compression_ratio_threshold: float | None = None,
    revision: str | None = None,
) -> Recognizer:
    """Whisper of any size, from the hub or from a folder (extra ``hf``).

    ``name`` is a name on the hub, a folder, or ``ct2:`` and a folder or package of CTranslate2.

    ``language`` is, for example, ``de`` or ``german``. By default it is the checkpoint's own
    (``generation_config.json``), or it is detected in each utterance. ``beam`` is the width of a
    beam search; 0 decodes greedily. Windows are rounded up to multiples of ``pad`` seconds; the
    reference has 30. ``normaliser`` is applied before texts are compared: by default Whisper's own
    in English, else ``basic``, which keeps vowel signs and accents. The thresholds say when a text
    is rejected (``docs/recognizers.md``); none are set by default.
    ``no_speech_threshold=0.6,compression_ratio_threshold=2.4`` gives silence an empty text.
    ``revision`` is a branch, tag or commit of the hub's model.
    """
    thresholds = (no_speech_threshold, logprob_threshold, compression_ratio_threshold)
    return whisper_files.load(name, language, task, beam, pad, normaliser, thresholds, revision)


def spoken_language(model: Annotated[str, Part("model")]) -> Recognizer:
    """The language that a multilingual Whisper hears, as its code; for attacks on that choice.

    ``model`` is a Whisper that finds the language itself: ``spoken-language:whisper:base``.
    """
    return SpokenLanguage(MODELS.build(model))


MODELS: Registry[Recognizer] = Registry(
    "model",
    {
        "conformer-lab": conformer_lab,
        "deepspeech.pytorch": deepspeech_pytorch,
        "deepspeech2": deepspeech2,
        "ds2-an4": ds2_an4,
        **{name: _tuned_ds2(name, what) for name, what in TUNED_DS2.items()},
        "hama": hama,
        "hama-letters": letters_of_hama,
        **{name: _tuned_hama(name, what) for name, what in TUNED_HAMA.items()},
        "hf-ctc": hf_ctc,
        "moonshine": moonshine,
        "python": python,
        "speecht5": speecht5,
        "spoken-language": spoken_language,
        "whisper": whisper,
    },
    group="melmoat.models",
)


def load(spec: str) -> Recognizer:
    """Build a recognizer from its spec, in eval mode with frozen weights.

    A recognizer of ``python:`` is used as its factory made it.
    """
    return MODELS.build(spec)

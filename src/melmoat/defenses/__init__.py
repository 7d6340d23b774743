"""Defenses, by spec string."""

from melmoat.channels.room import Room
from melmoat.defenses.base import Defense, FrontEnd, NoDefense, Rounding, StraightThrough, apply
from melmoat.defenses.chain import Chain, Chained
from melmoat.defenses.codecs import codec
from melmoat.defenses.compression import compress
from melmoat.defenses.custom import Own
from melmoat.defenses.denoising import denoise
from melmoat.defenses.diffusion import diffusion
from melmoat.defenses.filters import band, smooth
from melmoat.defenses.lpc import lpc
from melmoat.defenses.neural import NeuralCodec, neural_codec
from melmoat.defenses.resynthesis import mdnf, resynth
from melmoat.defenses.rounding import mulaw, quantize
from melmoat.defenses.smoothing import GaussianNoise, RandomizedSmoothing
from melmoat.defenses.stft import stft, stft_flood
from melmoat.defenses.streaming import Streamed
from melmoat.defenses.transforms import downsample, median
from melmoat.defenses.voting import Votes
from melmoat.spec import Registry, SpecError

DEFENSES: Registry[Defense] = Registry(
    "defense",
    {
        "chain": Chain,
        "codec": codec,
        "compress": compress,
        "denoise": denoise,
        "diffusion": diffusion,
        "downsample": downsample,
        "filter": band,
        "lpc": lpc,
        "mdnf": mdnf,
        "median": median,
        "mulaw": mulaw,
        "neural-codec": neural_codec,
        "none": NoDefense,
        "python": Own,
        "quantize": quantize,
        "resynth": resynth,
        "room": Room,
        "rs": RandomizedSmoothing,
        "smooth": smooth,
        "stft": stft,
        "stft-flood": stft_flood,
        "voted": Votes,
        "wgn": GaussianNoise,
    },
    group="melmoat.defenses",
)


def build(spec: str) -> Defense:
    """Build a defense from its spec."""
    return DEFENSES.build(spec)


def front_end(spec: str) -> FrontEnd:
    """Build a defense that is a function of audio.

    Raises:
        SpecError: the defense changes how the recognizer is used instead (such as ``rs``).
    """
    made = function_of_audio(build(spec))
    if made is None:
        raise SpecError(
            f"{spec!r} is not a function of audio: it averages several passes of a recognizer; "
            "use it in transcribe, attack or bench (its noise alone is wgn)"
        )
    return made


def function_of_audio(made: Defense) -> FrontEnd | None:
    """``made`` if it is a function of audio; None if it changes how the recognizer is used."""
    if isinstance(made, Own | Chain):
        made = made.made
    return made if isinstance(made, FrontEnd) else None


def declared(made: Defense) -> tuple[bool | None, bool | None]:
    """Whether a defense says that it is stochastic and differentiable; None if nobody knows."""
    front = made.inner if isinstance(made, Votes) else function_of_audio(made)
    if front is not None:
        return front.stochastic, front.differentiable
    if type(made).__module__.partition(".")[0] == "melmoat" and not isinstance(made, Own):
        return True, True  # what averages several passes draws for each of them
    inner = made.made if isinstance(made, Own) else made
    return getattr(inner, "stochastic", None), getattr(inner, "differentiable", None)


def approximates(made: Defense) -> bool:
    """Whether attackers get a stand-in for a gradient that is zero
    (:attr:`FrontEnd.approximate`)."""
    front = made.inner if isinstance(made, Votes) else function_of_audio(made)
    return front is not None and front.approximate and not front.differentiable


__all__ = [
    "DEFENSES",
    "Chain",
    "Chained",
    "Defense",
    "FrontEnd",
    "GaussianNoise",
    "NeuralCodec",
    "NoDefense",
    "Own",
    "RandomizedSmoothing",
    "Rounding",
    "StraightThrough",
    "Streamed",
    "Votes",
    "apply",
    "approximates",
    "band",
    "build",
    "codec",
    "compress",
    "declared",
    "denoise",
    "diffusion",
    "downsample",
    "front_end",
    "function_of_audio",
    "lpc",
    "mdnf",
    "median",
    "mulaw",
    "neural_codec",
    "quantize",
    "resynth",
    "smooth",
    "stft",
    "stft_flood",
]

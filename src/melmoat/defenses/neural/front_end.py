"""Speech through a neural codec with few codebooks: what they cannot say is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from torch.nn.utils.rnn import pad_sequence

from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd, StraightThrough
from melmoat.defenses.neural import loading
from melmoat.defenses.neural.networks import CodecNetwork
from melmoat.defenses.neural.quantiser import Soft, StandIn, straight
from melmoat.defenses.resynthesis import fitted
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.facts import OfGradient, Origin, rests_on
from melmoat.resampling import resample

CodecGradient = Literal["straight", "soft", "bpda"]


class NeuralCodec(FrontEnd):
    """Codes and decodes each recording. Length and rate are kept.

    Utterances run one by one: most of these networks hear what is behind an utterance, and a
    rounding error would choose another code. The exact gradient is zero. Attackers get a stand-in
    for it.

    Args:
        codec: the network.
        quantizers: codebooks that are used, from the first; None for all.
        stand_in: what each code vector counts as in the backward pass.

    Raises:
        ValueError: the codec does not have as many codebooks.
    """

    differentiable = False
    approximate = True

    def __init__(
        self, codec: CodecNetwork, quantizers: int | None = None, stand_in: StandIn = straight
    ) -> None:
        self.codec, self.stand_in = codec, stand_in
        self.quantizers = codec.most if quantizers is None else quantizers
        if not codec.fewest <= self.quantizers <= codec.most:
            raise ValueError(
                f"quantizers must lie between {codec.fewest} and {codec.most} for this codec, got "
                f"{quantizers}"
            )

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        speech = resample(audio, self.codec.rate)
        codec = beside(self.codec, speech.wav)
        heard = [codec(wave, self.quantizers, self.stand_in) for wave in speech]
        decoded = fitted(speech, pad_sequence(heard, batch_first=True))
        return fitted(audio, resample(decoded, audio.rate).wav)


def _files(args: Mapping[str, Any]) -> Origin:
    found = loading.origin(args["name"], args["revision"])
    return Origin(*found, instead=("name", "revision"))


@rests_on(_files)
def neural_codec(
    name: str,
    quantizers: int | None = None,
    gradient: CodecGradient = "straight",
    temperature: Annotated[float, OfGradient()] = 0.1,
    revision: str | None = None,
) -> FrontEnd:
    """EnCodec, DAC, Mimi or Lyra, with as few codebooks as wanted (all but Lyra: extra ``hf``).

    Args:
        name: ``lyra`` (``melmoat fetch lyra`` brings it), a name on the hub, such as
            ``facebook/encodec_24khz``, or a folder.
        quantizers: codebooks that are used, from the first; fewer lose more. All by default.
        gradient: what attackers get instead of the exact gradient, which is zero. ``straight``
            takes each code vector as its input, ``soft`` as a weighted mean of the codebook, and
            ``bpda`` takes the whole codec as the identity.
        temperature: of ``gradient=soft``; lower weights the nearest code vectors more.
        revision: a branch, tag or commit of the hub's model; the main branch by default.
    """
    soft = Soft(temperature)
    stand_in = soft if gradient == "soft" else straight
    made = NeuralCodec(loading.load(name, revision), quantizers, stand_in)
    return StraightThrough(made) if gradient == "bpda" else made

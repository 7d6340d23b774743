"""What is attacked, and what its parts declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from melmoat import data, defenses, models
from melmoat.analysis.variants import around, gradients
from melmoat.audio import RATE
from melmoat.data import CORPORA
from melmoat.defenses import (
    DEFENSES,
    Chain,
    Chained,
    Defense,
    FrontEnd,
    NoDefense,
    RandomizedSmoothing,
    Rounding,
    StraightThrough,
    Votes,
    approximates,
    declared,
    function_of_audio,
)
from melmoat.defenses.base import Resampled
from melmoat.errors import MelmoatError
from melmoat.facts import Part
from melmoat.models import MODELS
from melmoat.models.base import Kind, kind_of, normaliser_of, transcribes_for_free
from melmoat.objects import hand, is_object
from melmoat.spec import marks, show, spelling
from melmoat.vocoders import VOCODERS

THROUGH = 2  # last iterations of a vocoder that a gradient runs through, where it can be chosen


@dataclass(frozen=True)
class Subject:
    """A recognizer behind a defense, on a corpus; all as canonical specs.

    Attributes:
        kind: what the recognizer shows (:func:`melmoat.models.base.kind_of`).
        stochastic, differentiable: what the defense declares; None if nobody knows.
        approximate: whether attackers get a stand-in for a gradient that is zero.
        rounds: whether samples are rounded before anything else, which ``lattice`` attacks.
        variants: the same system with another gradient for attackers, by name.
        words: whether it writes words of 16 kHz speech, as the surrogates do.
        texts: number of different texts in the corpus, which targets are taken from.
        votes: passes that one transcript takes.
        free: whether a transcript costs nothing beside the loss, as of a greedy CTC recognizer.
    """

    model: str
    defense: str
    data: str
    seed: int = 0
    kind: Kind = "ctc"
    stochastic: bool | None = False
    differentiable: bool | None = True
    variants: Mapping[str, str] = field(default_factory=dict)
    words: bool = True
    texts: int = 0
    votes: int = 1
    free: bool = True
    approximate: bool = False
    rounds: bool = False

    @property
    def attacked(self) -> str:
        """The defense with the gradient that attackers follow: BPDA where none flows."""
        blind = self.differentiable is False and not self.approximate
        return self.variants.get("bpda", self.defense) if blind else self.defense


def subject(model: str, defense: str, corpus: str, seed: int = 0) -> Subject:
    """What there is to know of a system before it is attacked.

    Raises:
        MelmoatError: a part is unknown or cannot be built, or the defense gives attackers the
            gradient of something else.
    """
    model, defense = str(MODELS.parse(model)), str(DEFENSES.parse(defense))
    corpus = str(CORPORA.parse(corpus))
    made, recognizer = defenses.build(defense), models.load(model)
    _own_gradient(defense, made)
    stochastic, differentiable = declared(made)
    own = MODELS.parse(model).foreign or is_object(model)
    if isinstance(made, NoDefense) and own:  # the recognizer may hide one
        stochastic = differentiable = None
    normaliser, system = normaliser_of(recognizer), made.wrap(recognizer)
    one = Subject(
        model,
        defense,
        corpus,
        seed,
        kind_of(system),
        stochastic,
        differentiable,
        variants(defense, made),
        recognizer.rate == RATE and (normaliser is None or normaliser.name != "phonemes"),
        len({data.written(cut) for cut in data.listed(corpus)} - {""}),
        made.votes if isinstance(made, RandomizedSmoothing | Votes) else 1,
        transcribes_for_free(system),
        approximates(made),
    )
    followed = defenses.build(one.attacked).wrap(recognizer)
    return replace(one, rounds=isinstance(getattr(followed, "rounding", None), Rounding))


def _own_gradient(defense: str, made: Defense) -> None:
    """Check that attackers get what the defense has; the ensemble tries stand-ins by itself."""
    front = made.inner if isinstance(made, Votes) else function_of_audio(made)
    if _stands_in(front):
        raise MelmoatError(
            f"{defense}: attackers would follow a stand-in for the gradient; leave out gradient=, "
            "the standard tries stand-ins beside the gradient, or where there is none"
        )


def _stands_in(front: FrontEnd | None) -> bool:
    if isinstance(front, Chained):
        return any(_stands_in(link) for link in front.links)
    return isinstance(front, StraightThrough | Resampled)


def variants(defense: str, made: Defense) -> dict[str, str]:
    """Specs of the same defense with another gradient for attackers.

    ``bpda`` treats it as the identity. ``resampled`` runs through other noise. ``soft`` runs
    through a soft choice of codes. ``through`` runs through the last iterations of its vocoder
    only.
    """
    if isinstance(made, Votes):
        inner = variants(made.defense, made.built)
        return {name: around(defense, "defense", spec) for name, spec in inner.items()}
    if isinstance(made, Chain):
        return _of_chain(defense, made)
    front = function_of_audio(made)
    if front is None or isinstance(made, NoDefense):
        return {}
    found: dict[str, str] = {}
    if is_object(defense):
        found["bpda"] = hand(DEFENSES, StraightThrough(front))
        if front.stochastic:
            found["resampled"] = hand(DEFENSES, Resampled(front))
        return found
    kinds = gradients(defense)
    own = DEFENSES.parse(defense).text
    if own == next(iter(kinds.values()), None) or approximates(made):  # it names none, or has none
        order = [kind for kind, spec in kinds.items() if spec != own]
        order.sort(key=lambda kind: kind != "bpda")
        found = {kind: kinds[kind] for kind in order if kind != "resampled" or front.stochastic}
    if spec := _through(defense):
        found["through"] = spec
    return found


def _of_chain(defense: str, made: Chain) -> dict[str, str]:
    """Of each kind, all links that have it. But if no gradient flows through some, ``bpda`` is of
    these alone: the others keep their own, which is the better guess. It goes with the other kinds
    too, whose gradient would else be zero."""
    of_links = {key: variants(made.specs[key], link) for key, link in made.links.items()}
    blind = [key for key, link in made.links.items() if declared(link)[1] is False]
    seeing = defense
    for key in blind:
        if "bpda" in of_links[key] and not approximates(made.links[key]):
            seeing = around(seeing, key, of_links[key]["bpda"])
    found: dict[str, str] = {}
    for key, kinds in of_links.items():
        for kind, spec in kinds.items():
            if kind != "bpda" or not blind or key in blind:
                start = defense if kind == "bpda" else seeing
                found[kind] = around(found.get(kind, start), key, spec)
    return found


def _through(defense: str) -> str | None:
    spec = DEFENSES.parse(defense)
    for key, mark in marks(spec.factory).items():
        if not (isinstance(mark, Part) and mark.kind == "vocoder"):
            continue
        vocoder = VOCODERS.parse(str(spec.args[key]))
        if "through" not in vocoder.args or vocoder.args["through"] is not None:
            continue
        name, _, rest = vocoder.text.partition(":")
        new = spelling(name, [*([rest] if rest else []), f"through={THROUGH}"])
        others = {k: v for k, v in spec.parts.items() if k != key}
        return str(DEFENSES.parse(spelling(spec.name, [f"{key}={show(new)}", *others.values()])))
    return None

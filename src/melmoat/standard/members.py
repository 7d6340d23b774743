"""The members of the ensemble ``standard-1``, as cells of a run.

From the first release on, what a version string once meant it means for ever: a change of any
number or spec here then needs another version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from melmoat.attacks import ATTACKS
from melmoat.bench.cell import Cell
from melmoat.data import CORPORA
from melmoat.spec import show
from melmoat.standard.levels import L2, LARGE, LINF, QUIET, Level, in_order
from melmoat.standard.subject import Subject

VERSION = "standard-1"
DRAWS = 10  # draws that choose between candidates, and as many fresh ones that judge
MOST_PASSES = 20  # of a step: averaging over draws ends there
HELPS = 1.0  # points of capped error rate that another doubling must add to be followed by one
AROUND = {  # what a sender may do to the recording before the attack
    "silence around": "padded:{},before=0.5,after=2",  # seconds
    "quieter": "altered:{},gain=-12",  # dB
    "faster": "altered:{},speed=1.05",
}
MATCHED = "matched"  # the target that every utterance is attacked with
QUERY_DRAWS = 4  # most draws of one query of the decision-only search

Role = Literal["clean", "noise", "gradient", "weaker", "targeted", "around"]
Walk = Literal["lattice", "pgd", "apgd"]  # how a gradient member moves; its attack
WALKS: tuple[Walk, ...] = get_args(Walk)
SIZED: tuple[Role, ...] = ("clean", "noise", "gradient", "weaker", "targeted")  # it says how much


@dataclass(frozen=True)
class Effort:
    """How much work the members do.

    Args:
        steps: gradient steps of members 1, 2, 6 and 7; targets have half of them.
        rounds: steps and restarts of each round of member 4. Another round follows while one adds
            something.
        queries: of the decision-only search.
        targets: what targeted attacks want.
        levels: budgets.
        surrogates: recognizers that attacks are also crafted on, and transferred from.
        deep: levels at which all members run; at the others noise and members 1 and 2. None for
            all.
        quiet: further levels, louder first, each tried where half of the words fall at the one
            before it; with the members of a level that is not deep.
    """

    name: Literal["full", "quick"]
    steps: int
    rounds: tuple[tuple[int, int], ...]
    queries: int
    targets: tuple[str, ...]
    levels: tuple[Level, ...]
    most_passes: int = MOST_PASSES
    surrogates: tuple[str, ...] = ("ds2-an4",)
    deep: tuple[Level, ...] | None = None
    quiet: tuple[Level, ...] = ()

    def is_deep(self, level: Level) -> bool:
        """Whether all members run at ``level``."""
        return level not in self.quiet and (self.deep is None or level in self.deep)

    @property
    def label(self) -> str:
        """The name; ``custom`` if it is not the effort of this name, but one of your own."""
        return self.name if EFFORTS.get(self.name) == self else "custom"


FULL = Effort(
    "full",
    steps=100,
    rounds=((100, 1), (200, 1), (400, 2), (800, 2)),
    queries=500,
    targets=("", "shorter", MATCHED, f"{MATCHED}-2", f"{MATCHED}-3"),
    levels=in_order((*L2, LINF)),
    deep=L2[1:],
    quiet=QUIET,
)
QUICK = Effort(
    "quick",
    steps=10,
    rounds=((10, 1), (20, 2)),
    queries=20,
    targets=(MATCHED,),
    levels=in_order((L2[1], L2[2], LINF)),
    most_passes=4,
)
EFFORTS: dict[str, Effort] = {effort.name: effort for effort in (FULL, QUICK)}


@dataclass(frozen=True)
class Member:
    """One attack at one level.

    Attributes:
        name: what tables call it.
        role: ``gradient`` members have the gradient of the system; ``weaker`` ones know less, or
            have another gradient, and must not be stronger; ``around`` changes the recording
            first: silence, level, rate.
        everyone: attacks also the utterances that have fallen.
    """

    name: str
    role: Role
    cell: Cell
    everyone: bool = False


class Ensemble:
    """The members for one system.

    Args:
        subject: the system.
        effort: how much work they do.
        stochastic: whether two passes over the same audio differ, as it was found.
    """

    def __init__(self, subject: Subject, effort: Effort, stochastic: bool) -> None:
        self.subject, self.effort, self.stochastic = subject, effort, stochastic
        self.attacked = subject.attacked
        # Noise in the loss makes AutoPGD halve its step too soon.
        self.usual: Walk = "pgd" if stochastic else "apgd"
        # Where rounding is coarse, small steps are rounded away; where it is fine, they are better.
        self.walks: tuple[Walk, ...] = ("lattice", self.usual) if subject.rounds else (self.usual,)

    @property
    def draws(self) -> tuple[int, ...]:
        """Draws of each step that are tried one after another.

        A defense that votes takes several passes a draw, and its loss is an average already.
        """
        if not self.stochastic:
            return (1,)
        most = max(1, self.effort.most_passes // self.subject.votes)
        doubled = [2**k for k in range(most.bit_length()) if 2**k <= most]
        return tuple(dict.fromkeys([*doubled, most]))

    def clean(self) -> Member:
        """No attack."""
        return self._member("clean", "clean", "none", self.subject.defense, everyone=True)

    def noise(self, level: Level) -> list[Member]:
        """White noise of the same size: the control."""
        attack = f"noise:{level.budget}"
        return [self._member("noise", "noise", attack, self.subject.defense)]

    def descent(self, level: Level) -> list[Member]:
        """Member 1 where passes differ: AutoPGD with one draw a step, too."""
        return [self._gradient("apgd", self._loss("apgd", level, 1))] if self.stochastic else []

    def sequence(self, level: Level, eot: int) -> list[Member]:
        """Member 1: AutoPGD, or PGD where passes differ, on the sequence loss."""
        name = f"{self.usual}, {eot} draws" if eot > 1 else self.usual
        return [self._gradient(name, self._loss(self.usual, level, eot))]

    def box(self, level: Level) -> list[Member]:
        """Member 1 in the linf box: PGD with falling steps, too, if it is AutoPGD otherwise."""
        if level.norm != "linf" or self.stochastic:
            return []
        return [self._gradient("pgd", self._loss("pgd", level, 1))]

    def lattice(self, level: Level, eot: int) -> list[Member]:
        """Member 1 where samples are rounded: which of them cross to another level."""
        if "lattice" not in self.walks:
            return []
        return [self._gradient("lattice", self._loss("lattice", level, eot))]

    def margin(self, level: Level, eot: int, walk: Walk) -> list[Member]:
        """Member 2: a margin of the best path."""
        if self.subject.kind == "text":
            return []
        attack = f"{self._loss(walk, level, eot)},loss=margin"
        return [self._gradient(named("margin", walk), attack)]

    def other_gradients(self, level: Level, eot: int) -> list[Member]:
        """Member 6: other gradients of the same defense, and other systems."""
        attack = self._loss(self.usual, level, eot)
        # Of several stand-ins for a gradient that is zero none is the true one.
        role: Role = "gradient" if self.subject.approximate else "weaker"
        found = [
            self._member(name, role, attack, defense)
            for name, defense in self.subject.variants.items()
            if defense != self.attacked
        ]
        s = self.subject
        plain = f"apgd:{level.budget},steps={self.effort.steps},against=truth"
        crafted = ATTACKS.parse(plain)
        alone = [s.model] if s.defense != "none" else []
        others = [one for one in self.effort.surrogates if one != s.model and s.words]
        for model in [*alone, *others]:
            where = f"model={show(model)},attack=({crafted})"
            name = "transfer" if model == s.model else f"transfer from {model}"
            found.append(self._member(name, "weaker", f"transfer:{where}", self.subject.defense))
        return found

    def targeted(self, level: Level, eot: int, walk: Walk) -> list[Member]:
        """Member 3: towards other texts."""
        steps = -(-self.effort.steps // 2)
        base = f"{_steps(walk, level, steps)},keep=errors{_eot(eot)}"
        if self.subject.free:  # or looking whether it is reached costs more than the steps
            base += ",stop=true,confirm=3" if self.stochastic else ",stop=true"
        enough = self.subject.texts > 1
        return [
            self._member(
                named(f"target {target or 'silence'}", walk),
                "targeted",
                f"{base},target={target}",
                self.attacked,
                everyone=target == MATCHED,
            )
            for target in self.effort.targets
            if enough or not target
        ]

    def long(self, level: Level, eot: int, number: int, walk: Walk) -> list[Member]:
        """Member 4: from random points; each round has more steps, and more restarts."""
        steps, restarts = self.effort.rounds[number]
        loss = "" if self.subject.kind == "text" else ",loss=margin"
        attack = (
            f"{_steps(walk, level, steps)},random_start=true,restarts={restarts},"
            f"against=truth,keep=errors{loss}{_eot(eot)}"
        )
        times = f" x {restarts}" if restarts > 1 else ""
        return [self._gradient(f"long {walk}, {steps} steps{times}", attack)]

    def blocks(self, level: Level, eot: int) -> list[Member]:
        """Member 5: a search that sees transcripts only."""
        draws = _eot(min(eot, QUERY_DRAWS))
        attack = f"blocks:{level.budget},queries={self.effort.queries},against=truth{draws}"
        return [self._member("blocks", "weaker", attack, self.subject.defense)]

    def around(self, level: Level, eot: int, walk: Walk) -> list[Member]:
        """Member 7: silence around the speech, another level, another rate, each also without an
        attack. For linf silence would lower the budget."""
        if level.norm != "l2":
            return []
        inner, attack = show_corpus(self.subject.data), self._loss(walk, level, eot)
        found = []
        for name, changed in AROUND.items():
            corpus = changed.format(inner)
            alone, whole = f"{name}, no attack", self.subject.defense
            if walk == self.usual:  # once
                found.append(self._member(alone, "around", "none", whole, corpus))
            found.append(self._member(named(name, walk), "around", attack, self.attacked, corpus))
        return found

    def everything(self) -> Iterator[tuple[Level, list[list[Member]]]]:
        """All levels that may be tried, and the stages that may run there, in the order of the
        cascade (:class:`melmoat.standard.engine.Engine`), with the most draws."""
        for level in (*self.effort.levels, *self.effort.quiet):
            deep = self._deep(level) if self.effort.is_deep(level) else ()
            yield level, [stage for stage in (*self._cheap(level), *deep) if stage]
        yield LARGE, [stage for stage in self._cheap(LARGE) if stage]

    def _cheap(self, level: Level) -> Iterator[list[Member]]:
        eot = self.draws[-1]
        yield self.noise(level)
        yield self.descent(level)
        yield from (self.sequence(level, draws) for draws in self.draws)
        yield self.lattice(level, eot)
        yield from (self.margin(level, eot, walk) for walk in self.walks)
        yield self.box(level)

    def _deep(self, level: Level) -> Iterator[list[Member]]:
        eot, rounds = self.draws[-1], range(len(self.effort.rounds))
        yield self.other_gradients(level, eot)
        yield from (self.targeted(level, eot, walk) for walk in self.walks)
        yield from (self.long(level, eot, k, walk) for walk in self.walks for k in rounds)
        yield self.blocks(level, eot)
        yield from (self.around(level, eot, walk) for walk in self.walks)

    def _loss(self, walk: Walk, level: Level, eot: int) -> str:
        steps = _steps(walk, level, self.effort.steps)
        return f"{steps},against=truth,keep=errors{_eot(eot)}"

    def _gradient(self, name: str, attack: str) -> Member:
        return self._member(name, "gradient", attack, self.attacked)

    def _member(
        self,
        name: str,
        role: Role,
        attack: str,
        defense: str,
        corpus: str | None = None,
        everyone: bool = False,
    ) -> Member:
        s = self.subject
        place = str(CORPORA.parse(corpus or s.data))
        cell = Cell(s.model, defense, ATTACKS.declared(attack), place, s.seed)
        return Member(name, role, cell, everyone)


def named(member: str, walk: Walk) -> str:
    """A member's name, with the walk where it is another one's twin."""
    return f"{member}, {walk}" if walk == "lattice" else member


def show_corpus(corpus: str) -> str:
    """A corpus's spec as an option of another one."""
    return f"({corpus})" if ":" in corpus or "," in corpus else corpus


def _steps(walk: Walk, level: Level, steps: int) -> str:
    """How a member moves. PGD's steps fall to zero, so that noise averages out towards the end."""
    falling = ",schedule=linear" if walk == "pgd" else ""
    return f"{walk}:{level.budget},steps={steps}{falling}"


def _eot(eot: int) -> str:
    return f",eot={eot}" if eot > 1 else ""

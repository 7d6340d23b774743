"""Whether attackers had a useful gradient, the first thing that an audit asks."""

from __future__ import annotations

from collections.abc import Sequence

from melmoat.analysis.evidence import (
    Finding,
    Measured,
    between,
    nothing,
    something,
    strongest,
    wer,
    whites,
)
from melmoat.analysis.results import Result
from melmoat.analysis.variants import Setting

LATTICE = "lattice"  # the attack on what rounds


def adaptive(results: Measured) -> Finding:
    """Whether any attack had the gradient of the defended system."""
    name = "adaptive attack"
    best = strongest(r for _, r in whites(results))
    if best is None:
        text = "no untargeted gradient attack on the defended system was measured"
        return Finding(name, "missing", text)
    if all(r.snr_db is None for _, r in whites(results)):
        text = "no gradient attack changed a sample: the gradient is zero, attack it by BPDA"
        return Finding(name, "sign", text)
    most = max(len(r.rows) for _, r in results)
    if len(best.rows) < most:
        text = (
            f"{best.cell.attack} has {len(best.rows)} of {most} utterances: the run is unfinished"
        )
        return Finding(name, "open", text)
    return Finding(name, "ok", f"strongest: {best.cell.attack}, {wer(best)}")


def exact(
    kind: str,
    differentiable: bool | None,
    results: Measured,
    others: Sequence[tuple[str, Setting, Result]],
    informed: str | None,
    rounds: bool = False,
) -> Finding:
    """Whether attackers had the exact gradient.

    Args:
        informed: the spec whose attackers have it, with BPDA where none flows.
        rounds: whether the defense rounds the samples before anything else.
    """
    name, blind = "exact gradient", differentiable is False
    if kind == "exact" and blind:
        return Finding(name, "sign", "no gradient flows through this defense: attack it by BPDA")
    if kind == "exact" and differentiable is None:
        return Finding(name, "missing", "unknown: the defense is not one of melmoat's own")
    if kind == "exact":
        return Finding(
            name, "ok", "one graph from the loss to the waveform, through the noise drawn"
        )
    if blind and all(r.cell.defense == informed for _, r in results):
        text = f"no exact one flows through this defense; attackers had {kind} where there is none"
        if rounds and not _by_levels(whites(results)):
            return Finding(name, "missing", f"{text}. It rounds the samples: attack it by lattice")
        return Finding(name, "ok", text)
    exact = {
        s.but(): r
        for k, s, r in others
        if s.white and (r.cell.defense == informed if blind else k == "exact")
    }
    pairs = [(r, exact.get(s.but())) for s, r in whites(results)]
    figures = tuple(between(e, r) for r, e in pairs if e is not None)
    text = f"attackers had another gradient ({kind}) than the defense's own"
    if not figures or any(something(figure) for figure in figures):
        return Finding(name, "sign", text, figures)
    if not all(nothing(figure) for figure in figures):
        return Finding(name, "open", f"{text}: too few utterances to tell", figures)
    if len(figures) == len(pairs):
        return Finding(name, "ok", f"{text}, which breaks no more", figures)
    some = f"{text}, which breaks no more in {len(figures)} of {len(pairs)} attacks, else untried"
    return Finding(name, "open", some, figures)


def _by_levels(ours: Measured) -> bool:
    """Whether ``lattice`` had the budget and the utterances of the strongest other attack."""
    others = [(s, r) for s, r in ours if s.name != LATTICE]
    best = strongest(r for _, r in others)
    budget, least = next(((s.budget, len(r.rows)) for s, r in others if r is best), (None, 1))
    return any(
        s.name == LATTICE and budget in (None, s.budget) and len(r.rows) >= least for s, r in ours
    )


def stand_in(
    kind: str,
    kinds: Sequence[str],
    results: Measured,
    others: Sequence[tuple[str, Setting, Result]],
) -> Finding:
    """Where attackers never have the exact gradient, because it is zero: whether another stand-in
    for it breaks more.

    Args:
        kind: what this row's attackers had.
        kinds: all that the defense offers.
    """
    name = "exact gradient"
    pairs = [
        (other, between(theirs, r))
        for s, r in whites(results)
        for other, attack, theirs in others
        if attack.but() == s.but()
    ]
    figures = tuple(figure for _, figure in pairs)
    text = f"no exact one flows through this defense; attackers had a stand-in ({kind})"
    if any(something(figure) for figure in figures):
        return Finding(name, "sign", f"{text}, and another one breaks more", figures)
    if left := [k for k in kinds if k not in (kind, *(tried for tried, _ in pairs))]:
        return Finding(name, "missing", f"{text}; untried: {', '.join(left)}", figures)
    if not all(nothing(figure) for figure in figures):
        return Finding(name, "open", f"{text}: too few utterances to tell", figures)
    return Finding(name, "ok", f"{text}, and no other one breaks more", figures)

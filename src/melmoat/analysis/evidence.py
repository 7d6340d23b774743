"""The comparisons of an audit: each sign of a false sense of security as a number.

Every comparison is a paired bootstrap over utterances of the WER that two attackers cause. Some
attacks should bring nothing more (more steps, say). Their check is *ok* if the 95 % interval stays
below ``MARGIN`` points over at least ``ENOUGH`` utterances. It is a *sign* if the interval lies
above zero and the sign-flip test agrees (for few utterances the interval is too short). Otherwise
it is *open*: the run is too small to tell, and the finding says how many utterances are needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from melmoat.analysis.results import Comparison, Result, compare
from melmoat.analysis.variants import Setting, setting
from melmoat.attacks.budgets import SNR, Budget, LinfSNR

Status = Literal["ok", "sign", "open", "missing", "n/a"]
MARGIN = 5.0  # points of WER that do not count
ENOUGH = 20  # with fewer utterances no check is ok
BROKEN = 80.0  # WER % at which a recognizer is useless
LARGE_DB = 10.0  # SNR at which a perturbation is as loud as a voice in the room
AT = 0.1  # tolerance in dB: rounding makes a file of 10 dB measure 10.001
_SEVERITY: tuple[Status, ...] = ("n/a", "ok", "missing", "open", "sign")


@dataclass(frozen=True)
class Finding:
    """The result of one check on one row.

    Attributes:
        status: ``ok``; ``sign`` of a false sense of security; ``open``: too few utterances to tell;
            ``missing``: the rows that it needs were not measured; ``n/a``: does not apply.
        figures: the comparisons behind the status.
    """

    check: str
    status: Status
    text: str
    figures: tuple[Comparison, ...] = ()


Measured = Sequence[tuple[Setting, Result]]


def _gain(check: str, gains: Iterable[Comparison], well: str, bad: str, none: str) -> Finding:
    """Whether an attack gains something where it should gain nothing."""
    statuses: list[tuple[Status, Comparison]] = []
    for gain in gains:
        if nothing(gain):
            statuses.append(("ok", gain))
        else:
            statuses.append(("sign" if something(gain) else "open", gain))
    if not statuses:
        return Finding(check, "missing", none)
    status = max((s for s, _ in statuses), key=_SEVERITY.index)
    texts = {"ok": well, "sign": bad, "open": "too few utterances to tell"}
    figures = tuple(c for s, c in statuses if s == status or status == "ok")
    return Finding(check, status, texts[status], figures)


def nothing(gain: Comparison) -> bool:
    """Whether the data show that the gain is at most ``MARGIN`` points."""
    return gain.difference is not None and gain.difference.high <= MARGIN and gain.n >= ENOUGH


def something(gain: Comparison) -> bool:
    """Whether the data show a gain above zero."""
    d = gain.difference
    return d is not None and d.low > 0 and d.p < 0.05


def between(better: Result, worse: Result) -> Comparison:
    """``better`` minus ``worse``, with the number of utterances that would show ``MARGIN``
    points."""
    names = (better.cell.attack, worse.cell.attack)
    if better.cell.defense != worse.cell.defense:
        names = (better.label, worse.label)
    return compare(better, worse, names=names, points=MARGIN)


def whites(results: Measured) -> list[tuple[Setting, Result]]:
    """The attacks that have the gradient of the system, and what they did."""
    return [(s, r) for s, r in results if s.white]


def strongest(pool: Iterable[Result]) -> Result | None:
    """The result with most errors, if there is any."""
    return max(pool, key=lambda r: r.error_rate or 0.0, default=None)


def finished(pool: Iterable[Result]) -> list[Result]:
    """Those on at least ``ENOUGH`` utterances, or on as many as any has: a run that was stopped
    leaves cells of few, whose rates may be anything."""
    results = list(pool)
    least = min(ENOUGH, max((len(r.rows) for r in results), default=0))
    return [r for r in results if len(r.rows) >= least]


def _ladder(pool: Measured, key: str) -> list[tuple[Result, Result]]:
    """Pairs of attacks that differ only in ``key``: the largest value and the next one."""
    groups = _groups((s.but(key), s.args[key], r) for s, r in pool if _count(s, key))
    return [(group[-1], group[-2]) for group in groups if len(group) > 1]


def _count(s: Setting, key: str) -> float:
    """The value of a numeric option; 0 if the attack does not have it."""
    value = s.args.get(key)
    return value if isinstance(value, int | float) else 0


def _groups(pool: Iterable[tuple[Any, Any, Result]]) -> list[list[Result]]:
    """Results grouped by place and ordered by value, each value once. Attacks that differ only in
    cost (``chunk``) or in the spelling of a budget count once."""
    groups: dict[Any, dict[Any, Result]] = {}
    for place, value, result in pool:
        by_value = groups.setdefault(place, {})
        by_value[value] = max(by_value.get(value, result), result, key=lambda r: len(r.rows))
    return [[group[value] for value in sorted(group)] for group in groups.values()]


def effort(results: Measured, key: str) -> Finding:
    """Whether more steps or restarts break more of what fewer do not break."""
    return _more(
        f"more {key}",
        whites(results),
        key,
        f"more {key} do not break more",
        f"more {key} still break more: the attack had not converged",
        f"no two attacks differ only in their {key}",
    )


def _more(check: str, whites: Measured, key: str, well: str, bad: str, none: str) -> Finding:
    """As :func:`_gain`, for systems that the smaller attack does not break.

    If the smaller attack breaks a system, a stronger one does not matter. But this says nothing
    about budgets that do not break the system.
    """
    pairs = _ladder(whites, key)
    left = [(more, less) for more, less in pairs if not _broken(less)]
    if left or not pairs:
        return _gain(check, [between(more, less) for more, less in left], well, bad, none)
    broken = " and ".join(f"{less.cell.attack} leaves {wer(less)}" for _, less in pairs)
    if all(_broken(result) for _, result in whites):
        return Finding(check, "ok", f"already broken by less: {broken}")
    return Finding(
        check, "missing", f"{none}, at a budget that does not break it anyway ({broken})"
    )


def _broken(result: Result) -> bool:
    """Whether the data show that the recognizer is useless."""
    low = result.interval[0] if result.interval else None
    return low is not None and low >= BROKEN and len(result.rows) >= ENOUGH


def eot(results: Measured, stochastic: bool | None) -> Finding:
    """Whether averaging over draws is at least as strong as one draw."""
    if stochastic is False:
        return Finding("EOT", "n/a", "two passes do not differ")
    ours = whites(results)
    single = {s.but("eot"): r for s, r in ours if s.args.get("eot") == 1}
    averaged = [(s, r) for s, r in ours if _count(s, "eot") > 1 and s.but("eot") in single]
    return _gain(
        "EOT",
        [between(single[s.but("eot")], r) for s, r in averaged],
        "at least as strong as one draw",
        "one draw breaks more than the average over draws: the attack does not optimise well",
        "may be stochastic, but no attack averages over draws (eot=) beside one that does not",
    )


def converged(results: Measured, stochastic: bool | None) -> Finding:
    """Whether more draws would be stronger still."""
    if stochastic is False:
        return Finding("EOT converged", "n/a", "two passes do not differ")
    return _more(
        "EOT converged",
        whites(results),
        "eot",
        "more draws do not break more",
        "more draws still break more",
        "no two attacks differ only in their draws (eot=)",
    )


def weaker(results: Measured, others: Sequence[tuple[str, Setting, Result]]) -> Finding:
    """Whether an attacker who knows less breaks more: BPDA, resampled, transfer, black-box."""
    pool = [r for s, r in results if s.access in ("transfer", "black-box")] + [
        r for kind, s, r in others if kind != "exact" and s.white
    ]
    figures = []
    for result in pool:
        budget = setting(result.cell.attack).budget
        same = (r for s, r in whites(results) if budget and s.budget == budget)
        best = strongest(finished(same))
        if best is not None:
            figures.append(between(result, best))
    return _gain(
        "weaker attackers",
        figures,
        "none of BPDA, transfer or black-box breaks more than the gradient attack",
        "an attacker who knows less breaks more: the gradient is masked",
        "no BPDA, transfer or black-box row at the budget of a gradient attack",
    )


def large(results: Measured) -> Finding:
    """Whether a large budget breaks the defense, as it must."""
    name = "large budget"
    ours = [(s, r) for s, r in whites(results) if r.error_rate is not None]
    best = strongest(finished(r for _, r in ours))
    if best is None:
        return Finding(name, "missing", "no gradient attack")
    if (best.error_rate or 0.0) >= BROKEN:
        return Finding(name, "ok", f"broken by {best.cell.attack}: {wer(best)}")
    loud = strongest(finished(r for s, r in ours if _db(s, r) <= LARGE_DB + AT))
    if loud is not None:
        text = f"{loud.cell.attack} leaves {wer(loud)}: so loud a perturbation must break it"
        return Finding(name, "sign", text)
    text = f"no attack at {LARGE_DB:g} dB or louder was tried, and the strongest leaves {wer(best)}"
    return Finding(name, "missing", text)


def _db(s: Setting, result: Result) -> float:
    """The SNR that an attack used. If it changed nothing, its budget; infinite if unknown."""
    if result.snr_db is not None:
        return result.snr_db
    return s.budget.db if isinstance(s.budget, SNR | LinfSNR) else math.inf


def noise(results: Measured) -> Finding:
    """Whether random noise of the same size does as much as the attack."""
    name = "noise of the same size"
    pairs = []
    for s, result in results:
        if s.name == "noise":
            same = (r for w, r in whites(results) if w.budget == s.budget)
            best = strongest(finished(same))
            if best is not None:
                pairs.append(between(best, result))
    measured = [c for c in pairs if c.difference is not None]
    if not measured:
        return Finding(name, "missing", "no noise row at the budget of a gradient attack")
    # At tiny budgets neither has an effect, so the clearest pair counts.
    clearest = max(measured, key=lambda c: c.difference.low if c.difference else 0.0)
    if something(clearest):
        return Finding(name, "ok", "the attack breaks more than noise", (clearest,))
    if nothing(clearest):
        return Finding(
            name, "sign", "noise does as much harm: the attack is not working", (clearest,)
        )
    return Finding(name, "open", "too few utterances to tell", (clearest,))


def monotone(results: Measured) -> Finding:
    """Whether a smaller budget never breaks more than a larger one."""
    groups = _groups(
        ((type(s.budget), *s.but("db", "eps", "ratio")), _size(s.budget), r)
        for s, r in whites(results)
        if s.budget is not None
    )
    pairs = [between(small, big) for group in groups for small, big in pairwise(group)]
    return _gain(
        "smaller budgets",
        pairs,
        "success falls with the budget",
        "a smaller budget breaks more than a larger one",
        "no two attacks differ only in their budget",
    )


def _size(budget: Budget) -> float:
    """A number that grows with the budget, for budgets of one kind."""
    if isinstance(budget, (SNR, LinfSNR)):
        return -budget.db
    return float(getattr(budget, "eps", 0.0))


def fresh(results: Measured, stochastic: bool | None) -> Finding:
    """Whether the judge uses fresh draws.

    The runner draws fresh noise for the judge. Rows without an attack show this: the benign pass
    and the judge's pass have the same audio, so they can differ only by their draws. If all
    transcripts agree, either the draws were reused or they change nothing here.
    """
    name = "fresh draws"
    if stochastic is False:
        return Finding(name, "n/a", "two passes do not differ")
    unchanged = [r for s, r in results if s.name == "none"]
    if not unchanged:
        return Finding(
            name,
            "missing",
            "no row without an attack, which would show two passes over the same audio",
        )
    rows = unchanged[0].rows
    differ = sum(row["benign"] != row["adversarial"] for row in rows.values())
    if differ:
        text = f"{differ} of {len(rows)} transcripts of the same audio differ between two passes"
        return Finding(name, "ok", text)
    return Finding(name, "open", f"all {len(rows)} transcripts of two passes agree")


def wer(result: Result) -> str:
    """The error rate, with its interval."""
    text = (
        f"{result.metric} {result.error_rate:.1f} %"
        if result.error_rate is not None
        else "nothing to count"
    )
    if result.interval is not None:
        text += f" [{result.interval[0]:.1f}, {result.interval[1]:.1f}]"
    return text

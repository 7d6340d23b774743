"""An evaluation as text of 80 columns."""

from __future__ import annotations

import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from melmoat.bench.labels import shown
from melmoat.objects import is_object
from melmoat.progress import span
from melmoat.standard.figures import CLEAN
from melmoat.standard.levels import L2
from melmoat.standard.members import VERSION
from melmoat.standard.places import OVER, mean_of
from melmoat.standard.plan import Plan
from melmoat.standard.result import Result

WIDTH = 80
LONGEST = 3  # members of a plan that are named
ABREAST = 4  # levels beside each other, each with room for "+10.0 / 130"
ANSWERS = {
    "adaptive attack": "members 1 to 4",
    "exact gradient": "members 1 to 4, 6",
    "EOT": "member 1",
    "EOT converged": "member 1",
    "weaker attackers": "members 5, 6",
    "more steps": "member 4",
    "more restarts": "member 4",
    "large budget": "members 1, 2",
    "noise of the same size": "the noise control",
    "smaller budgets": "all members",
    "fresh draws": "the judge",
}


def text(result: Result, out: str = "") -> str:
    """The table, the verdict, the cost and what to do next.

    Args:
        out: folder of the run, for the next command.
    """
    return "\n".join(_lines(result, out)) + "\n"


def _lines(r: Result, out: str) -> Iterator[str]:
    yield f"{r.version}, effort {r.effort}{'' if r.publishable else ': NOT FOR PUBLICATION'}"
    yield from _wrapped(
        f"{shown('model', r.model)} / {shown('defense', r.defense)} on {shown('data', r.data)}: "
        f"{r.n} utterances, " + (f"{r.draws} fresh draws each" if r.draws > 1 else "no randomness")
    )
    yield ""
    yield from _table(r)
    yield ""
    yield from _members(r)
    yield ""
    for finding in r.findings:
        where = f" ({ANSWERS[finding.check]})" if finding.check in ANSWERS else ""
        yield from _wrapped(f"{finding.status:4}  {finding.check}{where}: {finding.text}", 6)
        if finding.status in ("sign", "open"):
            for figure in finding.figures[:3]:
                yield from _wrapped(f"      {figure}", 8)
    yield ""
    yield from _wrapped(f"verdict: {r.verdict.upper()}{_found_by(r)}")
    yield from _cost(r)
    yield from _next(r, out)


def plan_text(plan: Plan) -> str:
    """The least and the most that an evaluation may cost, and what takes longest."""
    s, least = plan.subject, [one for one in plan.members if one.least]
    whole = sum(one.seconds for one in plan.members)
    longest = Counter[str]()
    for one in plan.members:
        longest[one.member.name] += round(100 * one.seconds / max(whole, 1e-9))
    lines = [
        f"{VERSION}, effort {plan.effort.label}; nothing was attacked yet",
        *_wrapped(
            f"{shown('model', s.model)} / {shown('defense', s.defense)} on "
            f"{shown('data', s.data)}: {plan.utterances} utterances, "
            + (f"{plan.draws} fresh draws each" if plan.draws > 1 else "no randomness")
        ),
        "",
        f"{'of an utterance':29}{'passes':>9}{'queries':>9}{'time of all':>15}",
    ]
    for name, some in (("falls at the first attack", least), ("never falls", plan.members)):
        passes, queries = sum(one.passes for one in some), sum(one.queries for one in some)
        time = span(sum(one.seconds for one in some))
        lines.append(f"{name:29}{passes:9,}{queries:9,}{time:>15}")
    lines += _wrapped(
        "passes: with gradients; time: on one worker of this machine, from a few steps of each "
        "kind of attack. Utterances that fall are left alone, so most systems end in between"
    )
    named = ", ".join(f"{name} ({share} %)" for name, share in longest.most_common(LONGEST))
    lines += _wrapped(f"what takes longest, if nothing falls: {named}")
    if failed := {one.member.name: one.failed for one in plan.members if one.failed}:
        name, why = next(iter(failed.items()))
        lines += _wrapped(f"without time: {', '.join(failed)}. The first failed: {name}: {why}")
    return "\n".join(lines) + "\n"


def _table(r: Result) -> Iterator[str]:
    metric = r.metric
    yield (
        f"{'':10} {'capped':>6} {'95 %':>14} {'worst':>6} {metric:>6} "
        f"{'sub':>5} {'del':>5} {'ins':>5} {'empty':>5} {'any':>5}"
    )
    for f in (r.clean, *r.levels):
        low_high = (
            f"[{f.capped_interval[0]:.1f}, {f.capped_interval[1]:.1f}]" if f.capped_interval else ""
        )
        yield (
            f"{f.level:10} {_number(f.capped):>6} {low_high:>14} {_number(f.worst_draw):>6} "
            f"{_number(f.wer):>6} {_number(f.substitutions):>5} {_number(f.deletions):>5} "
            f"{_number(f.insertions):>5} {_number(f.empty):>5} {_number(f.any_error):>5}"
        )
    yield from _wrapped(
        f"capped: {metric}, errors of an utterance count at most its length; worst: the same of "
        "the worst draw; empty, any: transcripts without a word, with any error; all in %"
    )
    if r.half is not None:
        units = "words" if metric == "WER" else "characters"
        yield f"half of the {units} are wrong at {r.half.text}"
    if r.n > 1 and all(level.name in r.utterances.capped for level in L2):
        mean = mean_of(r)
        low, high = mean.interval
        yield f"mean of the worst case over {OVER}: {mean.text} % [{low:.1f}, {high:.1f}]"
    aimed = [f for f in r.levels if f.reached is not None]
    if aimed:
        said = "; ".join(
            f"{f.level} {_number(f.reached)} % reached, {_number(f.target_wer)} % {metric}"
            for f in aimed
        )
        yield from _wrapped(f"target of matched length (a short attack): {said}", 2)


def _members(r: Result) -> Iterator[str]:
    told = {line.level for line in r.members}
    levels = [found.level for found in r.levels if found.level in told]
    for first in range(0, len(levels), ABREAST):
        if first:
            yield ""
        yield from _members_at(r, levels[first : first + ABREAST])


def _members_at(r: Result, levels: Sequence[str]) -> Iterator[str]:
    some = [line for line in r.members if line.level in levels]
    first = max(29, *(len(line.member) for line in some))
    width = (WIDTH - first) // min(len(levels), ABREAST)
    yield f"{'points added / attacked':{first}}" + "".join(f"{level:>{width}}" for level in levels)
    for name in dict.fromkeys(line.member for line in some):
        cells = {line.level: line for line in some if line.member == name}
        told = "".join(
            f"{f'{cells[at].added:+.1f} / {cells[at].attacked}' if at in cells else '':>{width}}"
            for at in levels
        )
        yield f"{name:{first}}{told}"


def _found_by(r: Result) -> str:
    """Which member hurt most utterances at the loudest level that breaks the system."""
    worst = max(r.levels, key=lambda f: f.capped or 0.0)
    hurt = {name: n for name, n in worst.by.items() if name != "clean"}
    if not hurt:
        return ""
    name = max(hurt, key=lambda one: hurt[one])
    return f" (worst: {_number(worst.capped)} % at {worst.level}, most by {name})"


def _cost(r: Result) -> Iterator[str]:
    costs = list(r.cost.values())
    passes, queries = [c.passes for c in costs], [c.queries for c in costs]
    seconds = sum(c.seconds for c in costs)
    yield from _wrapped(
        f"cost of an utterance: {sum(passes) / len(costs):.0f} passes with gradients (most "
        f"{max(passes)}), {sum(queries) / len(costs):.0f} queries (most {max(queries)}); "
        f"{seconds:.0f} s of crafting in all"
    )


def _next(r: Result, out: str) -> Iterator[str]:
    base = ["melmoat", "evaluate", "--model", r.model, "--defense", r.defense, "--data", r.data]
    base += ["--seed", str(r.seed)] if r.seed else []
    if lost := r.failures.get(CLEAN):
        name, why = next(iter(lost.items()))
        yield from _wrapped(
            f"{len(lost)} utterance(s) failed without an attack and are in no figure; the same "
            f"command tries them again. The first: {name}: {why}"
        )
    if attacks := {name: errors for name, errors in r.failures.items() if name != CLEAN}:
        count = sum(map(len, attacks.values()))
        name, errors = next(iter(attacks.items()))
        yield from _wrapped(
            f"{count} attack(s) on utterances failed; the same command tries them again. The "
            f"first: {name}: {next(iter(errors.values()))}"
        )
    mine = any(map(is_object, (r.model, r.defense)))  # of Python, not of a command line
    if not r.publishable and not mine:
        yield from _wrapped(f"next, in hours: {shlex.join(base)}", 6)
    elif r.verdict == "incomplete" and r.needed > r.n and not mine:
        yield from _wrapped(
            f"next: {r.needed} utterances would settle what is open: {shlex.join(base)} "
            f"--limit {r.needed}{f' --out {shlex.quote(out)}' if out else ''}",
            6,
        )
    elif r.verdict == "suspect":
        signs = [f.check for f in r.findings if f.status == "sign"]
        yield from _wrapped(
            f"next: the figures are upper bounds of the robustness. Mend or explain: "
            f"{', '.join(signs)} (docs/standard.md)",
            6,
        )


def _wrapped(line: str, indent: int = 0) -> Sequence[str]:
    return textwrap.wrap(
        line, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    ) or [""]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"

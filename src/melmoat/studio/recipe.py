"""The same run as commands and as Python, ready to paste beside the saved ``speech.wav``."""

from __future__ import annotations

import shlex

from melmoat.studio.session import ADVERSARIAL, NOISE, SPEECH, Asked, Finished

DEFENDED = "defended.wav"


def commands(finished: Finished) -> str:
    """Shell commands, one a line. They print every transcript of the run and write its files."""
    asked = finished.asked
    aimed, other = (asked.aimed, "none") if asked.adaptive else ("none", asked.defense)
    lines = [_line("attack", SPEECH, ADVERSARIAL, **_system(asked, aimed), attack=asked.attack)]
    if asked.defense != "none":
        heard = [SPEECH, ADVERSARIAL]
        lines += [_line("transcribe", name, **_system(asked, other)) for name in heard]
    if finished.defended is not None:
        settings = {"defense": asked.defense, "seed": asked.seed}
        lines.append(_line("defend", ADVERSARIAL, DEFENDED, **settings))
    if finished.noise is not None:
        attack = finished.control
        lines.append(_line("attack", SPEECH, NOISE, **_system(asked, aimed), attack=attack))
        if asked.defense != "none":
            lines.append(_line("transcribe", NOISE, **_system(asked, other)))
    return "\n".join(lines)


def _system(asked: Asked, defense: str) -> dict[str, object]:
    return {"model": asked.model, "defense": defense, "seed": asked.seed}


def _line(*words: str, **options: object) -> str:
    named = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    return shlex.join(["melmoat", *words, *named])


def python(finished: Finished) -> str:
    """A script that attacks ``speech.wav`` and prints what is heard before and after."""
    asked = finished.asked
    with_defense = asked.defense != "none"
    aimed, other = ("defended", "recognizer") if asked.adaptive else ("recognizer", "defended")
    who = "recognizer alone" if asked.adaptive else "recognizer behind the defense"
    names = ["attacks", *(["audio", "defenses"] if with_defense else []), "models"]
    return "\n".join(
        [
            "from pathlib import Path",
            "",
            f"from melmoat import {', '.join(names)}",
            *(["from melmoat.draws import Draws, derive"] if with_defense else []),
            "from melmoat.file_attacks import attack_file",
            "from melmoat.file_jobs import Job",
            "",
            f"recognizer = models.load({asked.model!r})",
            *([_DEFENDED.format(asked)] if with_defense else []),
            f"attack = attacks.build({asked.attack!r})",
            f"job = Job(Path({SPEECH!r}), Path({ADVERSARIAL!r}), {SPEECH!r})",
            _ATTACK.format(aimed if with_defense else "recognizer", asked),
            'print(done.before, done.after, done.size, sep="\\n")',
            *([_OTHER.format(other, asked, SPEECH, ADVERSARIAL, who)] if with_defense else []),
            "",
        ]
    )


_DEFENDED = "defended = defenses.build({0.defense!r}).wrap(recognizer)"
_ATTACK = "done = attack_file({}, recognizer, attack, job, seed={.seed})"
_OTHER = """
# what the {4} hears
for name in ({2!r}, {3!r}):
    draws = Draws([derive({1.seed}, name)])
    print(*{0}.transcribe(audio.load(name, {0}.rate), draws))"""

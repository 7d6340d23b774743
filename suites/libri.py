"""What the suites of the LibriSpeech bench have in common: the paper's own budgets, and the speech.

The suites share one folder, so a cell that stands in two tables is measured once.
"""

from paper_numbers import EOT, MORE_DRAWS, NOISE, SAME_SIZE, UNTARGETED

DATA = "tsv:librispeech/dev-clean-mp3,shortest=2,longest=8"
FOLDER = "libri"
UTTERANCES = 40  # of a fixed shuffle, so a larger --limit adds to them

MODEL = "hama:conformer"
TUNED = "hama-mg"  # for melgan-lab
WG_TUNED = "hama-wg"  # for pwg-lab
NOISY = "hama-wgn"  # the control: the same, without resynthesis
MG = "resynth:vocoder=melgan-lab"

# Levels of the flooding that libri_levels.py chose on training speakers that nothing learned from.
LEVEL = 0.1
STFT_LEVEL = 0.1
MDNF = f"mdnf:vocoder=melgan-lab,level={LEVEL},shaping="
SHAPED = f"{MDNF}libri"

# EOT only where the row says that it is stochastic.
COLUMNS = {**UNTARGETED, EOT: MORE_DRAWS, NOISE: SAME_SIZE}

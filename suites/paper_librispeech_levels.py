"""The flooding's level on dev-clean: a row for each level of each defense that has one.

melmoat bench --suite paper_librispeech_levels --device cuda --out runs/paper/levels
python suites/paper_librispeech.py        # chooses from it
"""

from paper_librispeech import LEVEL_COLUMNS, UTTERANCES, level_rows, speech

from melmoat.bench.suite import Suite

SUITE = Suite(
    "paper_librispeech_levels",
    level_rows(),
    LEVEL_COLUMNS,
    limit=UTTERANCES,
    data=speech("dev-clean"),
)

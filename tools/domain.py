"""Count the utterances of a corpus that a recognizer finds unlike the speech it knows.

python tools/domain.py ds2-an4 an4:PATH/test
"""

import argparse

from melmoat import data, models
from melmoat.models.domain import domain_of, unlike

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="such as ds2-an4")
    parser.add_argument("data", help="a corpus, such as an4:PATH/test")
    parser.add_argument("--every", type=int, default=1, help="take each so manieth utterance")
    given = parser.parse_args()
    model = models.load(given.model)
    if domain_of(model) is None:
        parser.error(f"{given.model} does not say what speech it knows")
    cuts = list(data.load(given.data))[:: given.every]
    warned = sum(unlike(model, data.read([cut], model.rate))[0] for cut in cuts)
    print(f"{given.data}: warned of {warned} of {len(cuts)} ({100 * warned / len(cuts):.1f} %)")

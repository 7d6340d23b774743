"""Detectors of adversarial audio, by spec string."""

from melmoat.detectors.base import Detector, score
from melmoat.detectors.comparison import Disagreement, Likelihood
from melmoat.detectors.custom import python
from melmoat.detectors.distribution import DistriBlock
from melmoat.spec import Registry

DETECTORS: Registry[Detector] = Registry(
    "detector",
    {
        "disagreement": Disagreement,
        "distriblock": DistriBlock,
        "likelihood": Likelihood,
        "python": python,
    },
    group="melmoat.detectors",
)


def build(spec: str) -> Detector:
    """Build a detector from its spec."""
    return DETECTORS.build(spec)


__all__ = [
    "DETECTORS",
    "Detector",
    "Disagreement",
    "DistriBlock",
    "Likelihood",
    "build",
    "python",
    "score",
]

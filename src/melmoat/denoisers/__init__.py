"""Networks that take noise out of speech, published ones and one trained here."""

from melmoat.denoisers.diffusion import DiffusionConfig, DiffusionDenoiser
from melmoat.denoisers.dtln import DTLN
from melmoat.denoisers.gtcrn import GTCRN

__all__ = ["DTLN", "GTCRN", "DiffusionConfig", "DiffusionDenoiser"]

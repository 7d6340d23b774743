"""Certificates: bounds that no attack below a radius can break, with a stated confidence.

:func:`certify` measures a corpus. What is certified are two systems, made of many passes under
noise, and not a single pass: the commonest transcript (the vote; Cohen et al. 2019) and a center of
the transcripts (center smoothing; Kumar & Goldstein 2021). :func:`smoothed` is the second one.
"""

from melmoat.certificates.plan import Plan
from melmoat.certificates.results import Certificate, Table
from melmoat.certificates.run import certify
from melmoat.certificates.sampling import smoothed

__all__ = ["Certificate", "Plan", "Table", "certify", "smoothed"]

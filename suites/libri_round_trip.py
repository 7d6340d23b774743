"""What the authors' rate conversion, 16 to 22 kHz and back, does to speech and to an attack.

    python suites/libri_round_trip.py

Their vocoder hears 22.05 kHz, ours 16 kHz. The conversion is linear, so the gradient through it is
exact; it could only help a defense by what it removes. Run it in the folder that has the corpora.
"""

from lab import HOME, plainly
from libri import DATA, FOLDER, UTTERANCES
from torch import Tensor

from melmoat import data
from melmoat.audio import Audio
from melmoat.defenses.resynthesis import fitted
from melmoat.draws import Draws
from melmoat.resampling import resample

RATES = (22_000, 22_050)


def there_and_back(audio: Audio, rate: int) -> Audio:
    return fitted(audio, resample(resample(audio, rate), audio.rate).wav)


def decibel(power: Tensor, of: Tensor) -> float:
    return float(10 * (power.square().sum(1) / of.square().sum(1)).log10().median())


def main() -> None:
    speech = data.read(list(data.load(DATA))[:UTTERANCES])
    noise = speech.with_wav(Draws(range(UTTERANCES)).normal(speech.wav) * speech.mask)
    lines = ["| rate, Hz | SNR of the speech, dB | power of white noise, dB |", "|---|---|---|"]
    for rate in RATES:
        error = (there_and_back(speech, rate).wav - speech.wav) * speech.mask
        kept = there_and_back(noise, rate).wav
        ratios = f"{-decibel(error, speech.wav):.0f} | {decibel(kept, noise.wav):+.1f}"
        lines.append(f"| {rate} | {ratios} |")
    (HOME / "results" / FOLDER / "round_trip.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    plainly(main)

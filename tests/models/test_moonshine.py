"""Moonshine against transformers, at utterances' edges, in its files, with its real weights."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor

from melmoat import defenses, models, weights
from melmoat.audio import RATE, Audio, AudioError
from melmoat.bench.cell import Cell
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.moonshine import loading, ort
from melmoat.models.moonshine import tokens as tokenizers
from melmoat.models.moonshine.recognizer import SHORTEST, Moonshine, frames, run_encoder
from melmoat.text import TextError
from tests.models.tokens import far_hub, in_numbers

transformers = pytest.importorskip("transformers", reason="needs the extra hf")
tiny_moonshine = pytest.importorskip("tests.models.tiny_moonshine")

TEXTS = ["Go on.", "Ten six", "A"]
DRAWS = Draws([0, 1, 2])


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests ask no network."""
    far_hub(monkeypatch)
    loading.find.cache_clear()
    yield
    loading.find.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(tiny_moonshine.save(tmp_path / "tiny", tiny_moonshine.network()))


def load(spec: str) -> Moonshine:
    made = models.load(f"moonshine:{spec}")
    assert isinstance(made, Moonshine)
    return made


def noise(samples: int) -> Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(samples)) * 0.1


def test_losses_and_texts_are_the_references(folder: Path, ragged: Audio) -> None:
    model, network = load(str(folder)), tiny_moonshine.network()
    losses = model.loss(ragged, TEXTS, DRAWS)
    heard = in_numbers(load(str(folder))).transcribe(ragged, DRAWS)
    for i, wave in enumerate(ragged):
        ids = torch.tensor([[1, *model.vocabulary.encode(TEXTS[i]), 2]])
        with torch.no_grad():
            logits = network(input_values=wave[None], decoder_input_ids=ids[:, :-1]).logits
        expected = torch.nn.functional.cross_entropy(logits[0], ids[0, 1:], reduction="sum")
        assert losses[i].item() == pytest.approx(expected.item(), rel=1e-5)
        ids = ids[:, :1]
        while ids.shape[1] <= model.vocabulary.longest and ids[0, -1] != 2:
            with torch.no_grad():
                logits = network(input_values=wave[None], decoder_input_ids=ids).logits
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], 1)
        assert heard[i] == " ".join(str(t) for t in ids[0, 1:].tolist() if t != 2)
    assert len(set(heard)) == 3


def test_every_length_has_the_frames_of_the_network() -> None:
    network = tiny_moonshine.network()
    for length in (1, 400, SHORTEST - 1, SHORTEST, *range(1_200, 1_700, 63), 9_999):
        wav = torch.nn.functional.pad(noise(length), (0, max(0, SHORTEST - length)))[None]
        with torch.no_grad():
            expected = network.model.encoder(wav).last_hidden_state
            got = run_encoder(network, wav, torch.tensor([length]))
        assert expected.shape[1] == int(frames(torch.tensor(length)))
        assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("beam", [0, 3])
def test_the_shortest_are_heard_in_a_batch_as_alone(folder: Path, beam: int) -> None:
    model = in_numbers(load(f"{folder},beam={beam}")).double()
    waves = [noise(n).double() for n in (2, SHORTEST - 1, SHORTEST, SHORTEST + 384, 8_000)]
    losses = model.loss(Audio.of(waves), ["7 8"] * 5, Draws(range(5)))
    heard = model.transcribe(Audio.of(waves), Draws(range(5)))
    for i, wave in enumerate(waves):
        alone = Audio.of([wave])
        assert torch.allclose(model.loss(alone, ["7 8"], Draws([i])), losses[i], rtol=1e-9)
        assert model.transcribe(alone, Draws([i])) == [heard[i]]


def test_smoothing_averages_the_next_token(folder: Path, ragged: Audio) -> None:
    model, audio = load(str(folder)).double(), Audio(ragged.wav.double(), ragged.lengths)
    smooth = defenses.build("rs:snr=5,votes=3").wrap(model)
    noisy = defenses.build("wgn:snr=5").wrap(model)
    losses = smooth.loss(audio, TEXTS, DRAWS)
    heard = smooth.transcribe(audio, DRAWS)
    for i, text in enumerate(TEXTS):
        tokens = torch.tensor([[*model.vocabulary.encode(text), 2]])
        votes = [
            noisy.encode(audio.pick([i]), Draws([i]).fork(n)).read(tokens[:, :-1]).exp()  # type: ignore[attr-defined]
            for n in range(3)
        ]
        mean = torch.stack(votes).mean(0).gather(2, tokens[..., None])
        assert losses[i].item() == pytest.approx(-mean.log().sum().item(), rel=1e-9)
        assert smooth.transcribe(audio.pick([i]), Draws([i])) == [heard[i]]


def test_long_audio_is_cut_where_it_is_quiet(folder: Path) -> None:
    model, wave = load(str(folder)), noise(40 * RATE)
    wave[27 * RATE : 28 * RATE] = 0
    parts = model.cut(Audio.of([wave]))[0]
    assert [27 < len(part) / RATE < 28 for part in parts] == [True, False]
    texts = [model.transcribe(Audio.of([part]), Draws([0]))[0] for part in parts]
    assert model.transcribe(Audio.of([wave]), Draws([0])) == [" ".join(t for t in texts if t)]
    with pytest.raises(AudioError, match="30 s at once, got 40"):
        model.loss(Audio.of([wave]), ["a"], Draws([0]))


def test_texts_are_written_as_it_writes(folder: Path, ragged: Audio) -> None:
    model = load(str(folder))
    capitals = model.loss(ragged, ["GO ON", "AM I", ""], DRAWS)
    assert torch.equal(capitals, model.loss(ragged, ["Go on", "Am I", ""], DRAWS))
    assert model.normaliser is not None
    assert model.normaliser.name == "whisper-english"
    french = load(f"{folder},language=fr").normaliser
    assert french is not None
    assert french.name == "basic"
    with pytest.raises(TextError, match="this recognizer reads at most 12"):
        model.loss(ragged, ["x" * 12, "", ""], DRAWS)


def test_pieces_are_joined_in_the_order_of_the_list() -> None:
    names = tiny_moonshine.tokens()
    vocabulary = tokenizers.vocabulary(tokenizers.made(names), transformers.MoonshineConfig(), 9)

    def ids(*tokens: str) -> list[int]:
        return [names.index(token.encode(), tokenizers.FIRST) for token in tokens]

    assert vocabulary.encode("the") == ids("\u2581the")
    assert vocabulary.encode("the eth") == ids("\u2581the", "\u2581", "e", "th")
    assert vocabulary.encode("") == []
    for text in ("the Größe", "thé 😀"):  # letters that are no piece are bytes
        assert vocabulary.decode(vocabulary.encode(text)).strip() == text
    assert vocabulary.decode([1, *ids("\u2581the", "<<ST_1>>"), 2]) == " the"


def test_a_loop_is_cut_where_that_is_asked_for(folder: Path, ragged: Audio) -> None:
    model = load(f"{folder},compression_ratio_threshold=2.4")
    model.vocabulary = replace(model.vocabulary, decode=lambda tokens: "thank you. " * len(tokens))
    for text in model.transcribe(ragged, DRAWS):
        assert len(text) < 40


def test_a_cell_is_of_the_weights_and_the_language(tmp_path: Path, folder: Path) -> None:
    def key(spec: str) -> str:
        return Cell(f"moonshine:{spec}", "none", "none", "demo").key

    first = key(str(folder))
    shutil.copytree(folder, tmp_path / "copy")
    assert key(str(tmp_path / "copy")) == first
    other = tiny_moonshine.save(tmp_path / "other", tiny_moonshine.network(seed=1))
    assert len({first, key(str(other)), key(f"{folder},language=fr"), key(f"{folder},beam=2")}) == 4


def test_errors_say_what_to_do(tmp_path: Path, folder: Path) -> None:
    def fails(spec: str, match: str) -> None:
        with pytest.raises(MelmoatError, match=match):
            load(spec)

    fails(f"{tmp_path / 'none'}", "no such folder")
    fails(f"{tmp_path}", r"expected config.json, model.safetensors and tokenizer.json")
    fails("tiny", r"hf download UsefulSensors/moonshine-tiny .*moonshine:FOLDER\. .*package")
    fails("ort:no-such-package", r"neither a folder nor an installed package; pip install")
    fails(f"ort:{folder}", r"Later releases .* carry no weights; pip install .*0\.0\.49")
    fails(f"{folder},beam=-1", "a beam of at least 0")
    fails(f"{folder},compression_ratio_threshold=0", "must be above 0")
    settings = json.loads((folder / "config.json").read_text())
    for key in ("encoder_num_key_value_heads", "decoder_num_attention_heads"):
        (folder / "config.json").write_text(json.dumps(settings | {key: 1}))
        fails(str(folder), "only networks of one number of heads")
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true}')
    fails(str(folder), "asks for normalised audio")
    (folder / "preprocessor_config.json").unlink()
    (folder / "generation_config.json").write_text('{"max_length": null}')
    fails(str(folder), "max_length in generation_config.json is None")
    (folder / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\n")
    fails(str(folder), "git lfs pull")
    (folder / "config.json").write_text('{"model_type": "moonshine_streaming"}')
    fails(str(folder), "a moonshine_streaming model")


def test_a_missing_extra_prints_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(MelmoatError, match=r'pip install "melmoat\[moonshine\]"'):
        load("ort:moonshine-voice")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MelmoatError, match=r'pip install "melmoat\[hf\]"'):
        load("ort:moonshine-voice")


PACKAGE = "moonshine-voice"
NEEDED = "needs the extra moonshine"


@pytest.fixture
def package() -> Path:
    pytest.importorskip("onnxruntime", reason=NEEDED)
    if weights.package_folder("moonshine_voice") is None:
        pytest.skip(NEEDED)
    return loading.find(f"ort:{PACKAGE}").folder


def test_other_files_of_that_name_are_refused(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(package, tmp_path / "cut")
    whole = (package / ort.ENCODER).read_bytes()
    file = tmp_path / "cut" / ort.ENCODER
    for content, match in (
        (whole[:-1], "another SHA-256"),
        (whole[:99] + b"x" + whole[100:], "another SHA-256"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"", "it is empty"),
    ):
        file.write_bytes(content)
        with pytest.raises(MelmoatError, match=match):
            ort.state(tmp_path / "cut")
    (tmp_path / "cut" / ort.TOKENS).unlink()
    with pytest.raises(MelmoatError, match=r"no such file; moonshine-voice 0\.0\.49 has it"):
        ort.tokens(tmp_path / "cut")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MelmoatError, match=r'pip install "melmoat\[moonshine\]"'):
        ort.state(package)


def test_real_weights_hear_as_the_packages_own_files(package: Path) -> None:
    """onnxruntime rounds what lies between the layers to 8 bits, so it is near and not equal."""
    reference = pytest.importorskip("benchmarks.moonshine", reason=NEEDED)
    model = load(f"ort:{PACKAGE}")
    theirs = reference.Reference(package, model.vocabulary.end)
    samples, rate = soundfile.read(package.parent / "beckett.wav", 5 * RATE, dtype="float32")
    assert rate == RATE
    audio = Audio.of([torch.from_numpy(samples)])
    wave = next(iter(audio))
    with torch.no_grad():
        states = run_encoder(model.network, audio.wav, audio.lengths)[0]
    assert torch.cosine_similarity(states.flatten(), theirs.encode(wave).flatten(), 0) > 0.999
    tokens = theirs.write(wave, model.vocabulary.longest)
    (text,) = model.transcribe(audio, Draws([0]))
    assert text == model.vocabulary.decode(tokens).strip()
    assert model.vocabulary.encode(text) == tokens
    loss = model.loss(audio, [text], Draws([0]))
    logs = theirs.read(theirs.encode(wave), tokens).log_softmax(-1)
    expected = -logs[range(len(tokens) + 1), [*tokens, 2]].sum()
    assert loss.item() == pytest.approx(expected.item(), rel=0.1)

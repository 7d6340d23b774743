"""SpeechT5 against transformers, at utterances' edges, and in its files."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from melmoat import defenses, models
from melmoat.audio import RATE, Audio, AudioError
from melmoat.bench.cell import Cell
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.seq2seq import greedy
from melmoat.models.speecht5 import loading
from melmoat.models.speecht5 import tokens as tokenizers
from melmoat.models.speecht5.recognizer import SpeechT5, frames, run_encoder, shortest
from melmoat.text import TextError
from tests.models.tokens import far_hub, in_numbers

transformers = pytest.importorskip("transformers", reason="needs the extra hf")
tiny_speecht5 = pytest.importorskip("tests.models.tiny_speecht5")

TEXTS = ["GO ON", "ten six", "A"]
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
    return Path(tiny_speecht5.save(tmp_path / "tiny", tiny_speecht5.network()))


def load(spec: str) -> SpeechT5:
    made = models.load(f"speecht5:{spec}")
    assert isinstance(made, SpeechT5)
    return made


def noise(samples: int) -> Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(samples)) * 0.1


def told(folder: Path, file: str, **changes: Any) -> Path:
    """``folder`` with other settings in ``file``."""
    path = folder / file
    settings = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(settings | changes))
    return folder


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_losses_and_texts_are_the_references(
    tmp_path: Path, ragged: Audio, norm: str, seed: int
) -> None:
    network = tiny_speecht5.network(seed, feat_extract_norm=norm)
    model = load(str(tiny_speecht5.save(tmp_path / norm, network)))
    losses = model.loss(ragged, TEXTS, DRAWS)
    heard = greedy(model.encode(ragged, DRAWS), 3, model.vocabulary, torch.device("cpu"))
    for wave, text, loss, tokens in zip(ragged, TEXTS, losses, heard, strict=True):
        labels = torch.tensor([[*model.vocabulary.encode(text), 2]])
        mean = network(input_values=wave[None], labels=labels).loss
        assert loss.item() == pytest.approx(mean.item() * labels.shape[1], rel=1e-5)
        written = network.generate(wave[None], max_length=13, num_beams=1, do_sample=False)
        assert tokens == [token for token in written[0, 1:].tolist() if token != 2]
    if (norm, seed) == ("group", 1):
        assert len(set(map(tuple, heard))) == 3
        assert len(set(map(len, heard))) > 1  # some end before others


def test_every_length_has_the_states_of_the_network() -> None:
    network = tiny_speecht5.network()
    least = shortest(network.config)
    assert least == 400
    for length in (1, least - 1, least, *range(1_200, 1_700, 63), 9_999):
        wav = torch.nn.functional.pad(noise(length), (0, max(0, least - length)))[None]
        expected = network.speecht5.encoder(wav).last_hidden_state
        assert expected.shape[1] == int(frames(network.config, torch.tensor(length)))
        assert torch.allclose(
            run_encoder(network, wav, torch.tensor([length])), expected, atol=1e-5
        )


@pytest.mark.parametrize("beam", [0, 3])
def test_the_shortest_are_heard_in_a_batch_as_alone(folder: Path, beam: int) -> None:
    told(folder, "preprocessor_config.json", do_normalize=True)
    model = in_numbers(load(f"{folder},beam={beam}")).double()
    waves = [noise(n).double() for n in (2, 399, 400, 720, 8_000)]
    losses = model.loss(Audio.of(waves), ["7 8"] * 5, Draws(range(5)))
    heard = model.transcribe(Audio.of(waves), Draws(range(5)))
    for i, wave in enumerate(waves):
        alone = Audio.of([wave])
        assert torch.allclose(model.loss(alone, ["7 8"], Draws([i])), losses[i], rtol=1e-9)
        assert model.transcribe(alone, Draws([i])) == [heard[i]]


def test_it_hears_what_the_extractor_gives(folder: Path, ragged: Audio) -> None:
    plain, network = load(str(folder)), tiny_speecht5.network()
    told(folder, "preprocessor_config.json", do_normalize=True, sampling_rate=RATE)
    model = load(str(folder))
    extractor = transformers.SpeechT5FeatureExtractor(do_normalize=True)
    losses = model.loss(ragged, TEXTS, DRAWS)
    assert not torch.allclose(losses, plain.loss(ragged, TEXTS, DRAWS), rtol=1e-3)
    for wave, text, loss in zip(ragged, TEXTS, losses, strict=True):
        given = extractor(wave.numpy(), sampling_rate=RATE, return_tensors="pt").input_values
        labels = torch.tensor([[*model.vocabulary.encode(text), 2]])
        expected = network(input_values=given, labels=labels).loss * labels.shape[1]
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


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
    model, wave = load(str(folder)), noise(31 * RATE)
    wave[27 * RATE : 28 * RATE] = 0
    parts = model.cut(Audio.of([wave]))[0]
    assert [27 < len(part) / RATE < 28 for part in parts] == [True, False]
    with pytest.raises(AudioError, match="30 s at once, got 31"):
        model.loss(Audio.of([wave]), ["a"], Draws([0]))
    with pytest.raises(ValueError, match="takes 16000 Hz"):
        model.loss(Audio.of([wave[:8_000]], 8_000), ["a"], Draws([0]))


def test_a_loop_is_cut_where_that_is_asked_for(folder: Path, ragged: Audio) -> None:
    model = load(f"{folder},compression_ratio_threshold=2.4")
    model.vocabulary = replace(model.vocabulary, decode=lambda tokens: "thank you. " * len(tokens))
    for text in model.transcribe(ragged, DRAWS):
        assert len(text) < 40


class TestTokens:
    def vocabulary(self, path: Path, data: bytes) -> Any:
        path.write_bytes(data)
        return tokenizers.vocabulary(tokenizers.load(path), transformers.SpeechT5Config(), 9)

    def test_texts_are_characters(self, tmp_path: Path) -> None:
        made = self.vocabulary(tmp_path / "m", tiny_speecht5.sentencepiece())
        names = [*tiny_speecht5.SPECIAL, *tiny_speecht5.LETTERS]
        assert made.encode("go on") == [names.index(c) for c in "\u2581go\u2581on"]
        assert made.encode("") == []
        assert made.decode([2, *made.encode("it's  on"), 1, 3, 36, 38, 2]) == "it's on"
        for capitals, small in (("GO ON", "go on"), ("IT'S A", "it's a")):
            assert made.encode(capitals) == made.encode(small)
        assert made.decode(made.encode("The, I.")) == "The, I."
        with pytest.raises(TextError, match="never writes: 2 é; write numbers and signs as words"):
            made.encode("caf\u00e9 2")

    def test_without_capitals_every_text_is_small(self, tmp_path: Path) -> None:
        made = self.vocabulary(tmp_path / "m", tiny_speecht5.sentencepiece(["\u2581", *"gon"]))
        assert made.encode("Go on") == made.encode("go on")

    def test_a_file_of_sentencepiece_is_read_as_it_reads_it(self, tmp_path: Path) -> None:
        made = self.vocabulary(tmp_path / "m", tiny_speecht5.TRAINED)
        for text, tokens, again in (  # as sentencepiece 0.2.3 has them
            ("the fox", [4, 6, 11, 9, 4, 10, 5, 15], "the fox"),
            ("\ufb01t\u2019s  he\u0301", [4, 10, 12, 6, 7, 14, 4, 11, 9], "fit's he"),
            ("\u00e9\u00a0on", [4, 9, 4, 5, 13], "e on"),
            ("it's on, he", [4, 12, 6, 7, 14, 4, 5, 13, 8, 4, 11, 9], "it's on, he"),
        ):
            assert made.encode(text) == tokens
            assert made.decode(tokens) == again

    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        whole = tiny_speecht5.sentencepiece()
        for content, match in (
            (whole[:-3], r"no SentencePiece model \(it is cut off\)"),
            (whole[:13] + b"\xff" * 9, "no SentencePiece model"),
            (b"\x0b", "a field of unknown kind 3"),
            (b"\x08\x01", "a number where text was expected"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            (b"", "it is empty"),
            (tiny_speecht5.sentencepiece(charsmap=b"ab"), "its rules of spelling cannot be read"),
            (tiny_speecht5.sentencepiece(["go", "on"]), "single characters, .* it has 'go', 'on'"),
        ):
            (tmp_path / "m").write_bytes(content)
            with pytest.raises(MelmoatError, match=match):
                tokenizers.load(tmp_path / "m")


def test_older_files_and_pickles_are_read(folder: Path, ragged: Audio) -> None:
    losses = load(str(folder)).loss(ragged, TEXTS, DRAWS)
    state = load_file(folder / "model.safetensors")
    older = {new: old for old, new in loading.OLDER.items()}
    for key in list(state):
        for new in older:
            if key.endswith(new):
                state[key.replace(new, older[new])] = state.pop(key)
    state["speecht5.decoder.prenet.embed_positions.weights"] = torch.zeros(3, 16)
    state["text_decoder_postnet.lm_head.weight"] = state[loading.EMBEDDINGS]
    del state["speecht5.encoder.prenet.masked_spec_embed"]
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "generation_config.json").unlink()
    loading.find.cache_clear()
    model = load(str(folder))
    assert torch.equal(model.loss(ragged, TEXTS, DRAWS), losses)
    assert model.vocabulary.longest == 19  # of the 20 positions, the first is for the start


def test_a_cell_is_of_the_weights(tmp_path: Path, folder: Path) -> None:
    def key(spec: str) -> str:
        return Cell(f"speecht5:{spec}", "none", "none", "demo").key

    first = key(str(folder))
    shutil.copytree(folder, tmp_path / "copy")
    assert key(str(tmp_path / "copy")) == first
    other = tiny_speecht5.save(tmp_path / "other", tiny_speecht5.network(seed=0))
    assert (
        len({first, key(str(other)), key(f"{folder},normaliser=basic"), key(f"{folder},beam=2")})
        == 4
    )


def test_errors_say_what_to_do(tmp_path: Path, folder: Path, ragged: Audio) -> None:
    def fails(spec: str, match: str) -> None:
        with pytest.raises(MelmoatError, match=match):
            load(spec)

    with pytest.raises(TextError, match="this recognizer reads at most 20"):
        load(str(folder)).loss(ragged, ["x" * 19, "", ""], DRAWS)
    fails(f"{tmp_path / 'none'}", "no such folder")
    fails("asr", "nor a name on the hub such as microsoft/speecht5_asr")
    fails(f"{folder / 'config.json'}", "a file; give the folder")
    fails("microsoft/speecht5_asr", r"hf download microsoft/speecht5_asr .*speecht5:FOLDER")
    fails(f"{tmp_path}", r"expected config.json, model.safetensors .* and spm_char.model")
    fails(f"{folder},beam=-1", "a beam of at least 0")
    fails(f"{folder},compression_ratio_threshold=0", "must be above 0")
    fails(str(told(folder, "preprocessor_config.json", sampling_rate=8_000)), "says 8000 Hz")
    (folder / "preprocessor_config.json").unlink()
    fails(str(told(folder, "generation_config.json", max_length=None)), "max_length .* is None")
    (folder / "generation_config.json").unlink()
    fails(str(told(folder, "config.json", vocab_size=30)), "weights do not fit")
    fails(str(told(folder, "config.json", vocab_size=38, eos_token_id=None)), "eos_token_id in")
    fails(str(told(folder, "config.json", architectures=["SpeechT5ForTextToSpeech"])), "no text")
    fails(str(told(folder, "config.json", model_type="whisper")), "a whisper model, expected a sp")
    small = tiny_speecht5.save(tmp_path / "small", tiny_speecht5.network(vocab_size=20))
    fails(str(small), "has 36 tokens, for 20 outputs")


def test_a_missing_extra_prints_the_pip_line(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MelmoatError, match=r'pip install "melmoat\[hf\]"'):
        load(str(folder))

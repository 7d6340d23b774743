"""CTC networks of transformers against their own forward pass and loss, in ragged batches."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from melmoat import defenses, models
from melmoat.audio import Audio, AudioError
from melmoat.bench.cell import identity
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import MODELS
from melmoat.models.hf_ctc import CARD, HFCTC, alphabet
from melmoat.weights import WeightsError
from tests.models.tiny_hf import KINDS, TOKENS, extractor, network, tiny_hf, tokenizer

transformers = pytest.importorskip("transformers", reason="needs the extra hf")

DRAWS = Draws([0, 1, 2])
TEXTS = ["GO ON", "IT'S SIX", "A"]
MASKED = {"wav2vec2-large", "hubert-large", "wavlm-large", "unispeech", "unispeech-sat"}


def gradient(model: HFCTC, audio: Audio, texts: list[str]) -> tuple[Tensor, Tensor]:
    wav = audio.wav.clone().requires_grad_()
    losses = model.loss(Audio(wav, audio.lengths), texts, Draws(range(len(audio))))
    return losses.detach(), torch.autograd.grad(losses.sum(), wav)[0]


def ids(text: str) -> list[int]:
    return [TOKENS.index("|" if c == " " else c) for c in text]


@pytest.mark.parametrize("kind", KINDS)
class TestEveryNetwork:
    def test_single_utterances_are_the_reference(
        self, kind: str, tmp_path: Path, ragged: Audio
    ) -> None:
        model = tiny_hf(kind, tmp_path)
        log_probs, frames = model.log_probs(ragged, DRAWS)
        losses = model.loss(ragged, TEXTS, DRAWS)
        for i, wave in enumerate(ragged):
            heard = model.extractor(wave.numpy(), sampling_rate=16_000, return_tensors="pt")
            target = torch.tensor([ids(TEXTS[i])])
            out = model.network(heard.input_values, labels=target)
            assert out.logits.shape[1] == frames[i] == model.frames(ragged.lengths)[i]
            expected = out.logits[0].softmax(-1)
            got = log_probs[i, : frames[i]].exp()
            assert torch.allclose(got[:, :-1], expected[:, model.columns], atol=2e-5)
            assert torch.allclose(got.sum(1), torch.ones(len(got)), atol=1e-5)
            assert torch.allclose(losses[i], out.loss, rtol=1e-4)
        assert log_probs.exp().std() > 0.01

    def test_a_batch_equals_its_singles(self, kind: str, tmp_path: Path, ragged: Audio) -> None:
        model = tiny_hf(kind, tmp_path).double()
        short = torch.tensor([0.1, -0.2, 0.1], dtype=torch.float64)
        waves = [*(w.double() for w in ragged), short]
        texts = [*TEXTS, ""]
        losses, grads = gradient(model, Audio.of(waves), texts)
        heard = model.transcribe(Audio.of(waves), Draws(range(4)))
        for i, wave in enumerate(waves):
            loss, grad = gradient(model, Audio.of([wave]), texts[i : i + 1])
            assert torch.allclose(losses[i], loss[0], rtol=1e-9)
            assert grad.norm() > 0
            assert (grads[i, : len(wave)] - grad[0]).norm() <= 1e-8 * grad.norm()
            assert grads[i, len(wave) :].eq(0).all()
            assert model.transcribe(Audio.of([wave]), Draws([i])) == [heard[i]]

    def test_silence_has_finite_losses_and_gradients(self, kind: str, tmp_path: Path) -> None:
        model = tiny_hf(kind, tmp_path)
        for wave in (torch.zeros(8_000), torch.zeros(2), torch.tensor([0.1, -0.1])):
            losses, grad = gradient(model, Audio.of([wave]), [""])
            assert torch.isfinite(losses).all()
            assert torch.isfinite(grad).all()

    def test_only_safe_networks_run_in_ragged_batches(self, kind: str, tmp_path: Path) -> None:
        assert tiny_hf(kind, tmp_path).masks == (kind in MASKED)

    def test_a_saved_folder_is_the_same_recognizer(
        self, kind: str, tmp_path: Path, ragged: Audio
    ) -> None:
        model = tiny_hf(kind, tmp_path)
        model.save(tmp_path / "model")
        loaded = models.load(f"hf-ctc:{tmp_path / 'model'}")
        assert isinstance(loaded, HFCTC)
        a, b = (m.log_probs(ragged, DRAWS)[0] for m in (model, loaded))
        assert torch.allclose(a, b, atol=1e-6)
        assert loaded.labels == model.labels
        assert not loaded.training
        assert not any(p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert-large", "wavlm-large", "sew"])
def test_the_gradient_is_the_derivative(kind: str, tmp_path: Path, ragged: Audio) -> None:
    model = tiny_hf(kind, tmp_path).double()
    audio = Audio(ragged.wav.double(), ragged.lengths)
    _, grad = gradient(model, audio, TEXTS)
    torch.manual_seed(3)
    direction, h = torch.randn_like(audio.wav) * audio.mask, 1e-7
    up, _ = gradient(model, audio.with_wav(audio.wav + h * direction), TEXTS)
    down, _ = gradient(model, audio.with_wav(audio.wav - h * direction), TEXTS)
    assert torch.allclose((grad * direction).sum(1), (up - down) / (2 * h), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_input_is_the_feature_extractors(
    tmp_path: Path, ragged: Audio, normalise: bool
) -> None:
    model = tiny_hf("wav2vec2-large", tmp_path, normalise)
    offset = Audio((ragged.wav + 0.3) * ragged.mask, ragged.lengths)
    waves = [w.numpy() for w in offset]
    out = model.extractor(waves, sampling_rate=16_000, padding=True, return_tensors="pt")
    assert torch.allclose(model.waveforms(offset), out.input_values, atol=1e-5)


def test_labels_are_the_vocabulary_blank_first_and_the_delimiter_a_space(tmp_path: Path) -> None:
    labels, columns = alphabet(tokenizer(tmp_path), len(TOKENS), 0)
    assert labels == "_ ETAONIHSRDLUMWCFGYPBVK'XJQZ"
    assert columns == [0, *range(4, len(TOKENS))]


def test_a_blank_in_the_middle_and_small_letters(tmp_path: Path) -> None:
    found = tokenizer(
        tmp_path,
        {"b": 0, "a": 1, "[PAD]": 2, "[UNK]": 3, " ": 4, "ß": 5, "é": 6, "x": 7},
        pad_token="[PAD]", unk_token="[UNK]", word_delimiter_token=" ",
    )  # fmt: skip
    labels, columns = alphabet(found, 7, 2)  # the network has no output for x
    assert labels == "_BA ßÉ"
    assert columns == [2, 0, 1, 4, 5, 6]
    both = tokenizer(tmp_path, {"<pad>": 0, "<unk>": 1, "a": 2, "B": 3, "|": 4})
    assert alphabet(both, 5, 0)[0] == "_aB "


def test_tokens_of_several_characters_are_refused(tmp_path: Path) -> None:
    found = tokenizer(tmp_path, {"<pad>": 0, "<unk>": 1, "a": 2, "tʃ": 3})
    with pytest.raises(WeightsError, match="single characters; this one's tokens are: tʃ"):
        alphabet(found, 4, 0)


def test_special_tokens_are_never_written(tmp_path: Path, ragged: Audio) -> None:
    model = tiny_hf("wav2vec2-large", tmp_path)
    model.network.lm_head.bias.data[1:4] = 100.0
    log_probs, _ = model.log_probs(ragged, DRAWS)
    assert log_probs.argmax(-1).eq(len(model.labels) - 1)[0, 0]
    heard = "".join(model.transcribe(ragged, DRAWS))
    assert heard
    assert not set(heard) - set(model.labels[1:-1])


def test_it_can_be_defended_and_smoothed(tmp_path: Path, ragged: Audio) -> None:
    model = tiny_hf("wav2vec2", tmp_path)
    smoothed = defenses.build("rs:snr=10,votes=3").wrap(model)
    wav = ragged.wav.clone().requires_grad_()
    loss = smoothed.loss(Audio(wav, ragged.lengths), TEXTS, DRAWS)
    (grad,) = torch.autograd.grad(loss.sum(), wav)
    assert grad.norm() > 0


def test_hours_and_other_rates_are_refused(tmp_path: Path) -> None:
    model = tiny_hf("wav2vec2", tmp_path)
    with pytest.raises(AudioError, match="cut it at pauses"):
        model.loss(Audio.of([torch.zeros(2_000_000)]), [""], Draws([0]))
    with pytest.raises(ValueError, match="16000 Hz audio, got 8000"):
        model.loss(Audio.of([torch.zeros(900)], rate=8_000), [""], Draws([0]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_hf("wav2vec2-large", tmp_path).save(tmp_path / "model")
    return tmp_path / "model"


def test_the_card_comes_with_the_folder(folder: Path) -> None:
    (folder / CARD).write_text(json.dumps({"origin": "a test"}))
    loaded = models.load(f"hf-ctc:{folder},beam=2")
    assert isinstance(loaded, HFCTC)
    assert loaded.card == {"origin": "a test"}
    (folder / CARD).write_text("{")
    with pytest.raises(WeightsError, match=r"melmoat.json: not a card .* delete it"):
        models.load(f"hf-ctc:{folder}")


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("config.json", "needs a config.json"),
        ("vocab.json", "needs a vocab.json"),
        ("preprocessor_config.json", "needs a preprocessor_config.json"),
        ("model.safetensors", "needs weights"),
    ],
)
def test_a_folder_with_a_file_missing(folder: Path, lost: str, message: str) -> None:
    (folder / lost).unlink()
    with pytest.raises(WeightsError, match=message):
        models.load(f"hf-ctc:{folder}")


@pytest.mark.parametrize("changed", ["config.json", "vocab.txt", "tokenizer.model"])
def test_every_file_of_a_tokenizer_counts_in_the_key(folder: Path, changed: str) -> None:
    spec = MODELS.parse(f"hf-ctc:{folder}")
    before = identity(spec)
    path = folder / changed
    path.write_text(path.read_text("utf-8") + " " if path.exists() else "a", "utf-8")
    assert identity(spec) != before


def test_a_path_where_nothing_is(tmp_path: Path) -> None:
    for name in (tmp_path / "none", "./none", "a/b/c"):
        with pytest.raises(WeightsError, match="no such folder; hf-ctc takes a folder"):
            models.load(f"hf-ctc:{name}")


def test_models_that_are_not_ctc(folder: Path, tmp_path: Path) -> None:
    pretrained = transformers.Wav2Vec2Model(network("wav2vec2-large").config)
    pretrained.save_pretrained(folder)
    with pytest.raises(WeightsError, match="no trained CTC head: lm_head"):
        models.load(f"hf-ctc:{folder}")
    transformers.WhisperConfig().save_pretrained(folder)
    with pytest.raises(WeightsError, match="is a whisper model, which has no CTC form"):
        models.load(f"hf-ctc:{folder}")


def test_a_network_of_computed_features_is_refused(tmp_path: Path) -> None:
    made: Any = network("wav2vec2")
    made.main_input_name = "input_features"
    with pytest.raises(WeightsError, match="hears features that Wav2Vec2FeatureExtractor"):
        HFCTC(made, extractor(), tokenizer(tmp_path))


@pytest.mark.skipif(
    not hasattr(transformers, "OmniASRCTCConfig"), reason="this transformers has no such network"
)
def test_a_network_of_another_build_is_refused(tmp_path: Path) -> None:
    config = transformers.OmniASRCTCConfig(
        vocab_size=len(TOKENS),
        audio_config={
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "conv_dim": [4] * 7, "num_conv_pos_embedding_groups": 2,
        },
    )  # fmt: skip
    made = transformers.AutoModelForCTC.from_config(config)
    with pytest.raises(WeightsError, match="OmniASRForCTC is not built as wav2vec2 is"):
        HFCTC(made, extractor(), tokenizer(tmp_path))


def test_a_language_without_adapters(folder: Path) -> None:
    with pytest.raises(WeightsError, match="has no adapters; leave out language=fra"):
        models.load(f"hf-ctc:{folder},language=fra")


def test_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MelmoatError, match=r'pip install "melmoat\[hf\]"'):
        models.load("hf-ctc:facebook/wav2vec2-base-960h")


def test_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"hf download nobody/nothing --local-dir FOLDER"):
        models.load("hf-ctc:nobody/nothing")


def test_the_adapter_of_a_language(tmp_path: Path, ragged: Audio) -> None:
    from safetensors.torch import load_file, save_file

    made = transformers.Wav2Vec2ForCTC(
        transformers.Wav2Vec2Config(
            **{**network("wav2vec2-large").config.to_dict(), "adapter_attn_dim": 4}
        )
    )
    made.save_pretrained(tmp_path / "mms")
    extractor().save_pretrained(tmp_path / "mms")
    special = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4}
    alphabets = {"eng": {c: 5 + i for i, c in enumerate("abcdefghijklmnopqrstuvwxyz'")},
                 "fra": {"é": 5, "a": 6}}  # fmt: skip
    vocabulary = {name: special | letters for name, letters in alphabets.items()}
    tokenizer(tmp_path, vocabulary, target_lang="eng").save_pretrained(tmp_path / "mms")
    state = {k: v + 0.1 for k, v in made._get_adapters().items()}
    for key in ("lm_head.weight", "lm_head.bias"):
        state[key] = state[key][:7].clone()
    save_file(state, tmp_path / "mms" / "adapter.fra.safetensors", metadata={"format": "pt"})
    loaded = models.load(f"hf-ctc:{tmp_path / 'mms'},language=fra")
    assert isinstance(loaded, HFCTC)
    assert loaded.labels == "_ ÉA\ufffd"
    assert torch.equal(loaded.network.lm_head.weight, state["lm_head.weight"])
    assert loaded.log_probs(ragged, DRAWS)[0].shape[-1] == 5
    with pytest.raises(WeightsError, match=r"language=deu: .*vocab.json"):
        models.load(f"hf-ctc:{tmp_path / 'mms'},language=deu")
    whole = load_file(tmp_path / "mms" / "model.safetensors")
    lost = next(key for key in whole if ".attention.k_proj.weight" in key)
    short = {key: value for key, value in whole.items() if key != lost}
    save_file(short, tmp_path / "mms" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=f"{lost} are not in its weights"):
        models.load(f"hf-ctc:{tmp_path / 'mms'},language=fra")
    short[lost] = whole[lost][:3].clone()
    save_file(short, tmp_path / "mms" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=f"{lost} have other sizes"):
        models.load(f"hf-ctc:{tmp_path / 'mms'},language=fra")


@pytest.mark.parametrize("letter", ["\u095c", "\u0921\u093c"])
def test_a_letter_that_is_never_composed_is_a_character(tmp_path: Path, letter: str) -> None:
    letters = ["\u0938", "\u0915", "\u0921", "\u093e", letter]
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *letters]
    made = tokenizer(tmp_path, {token: i for i, token in enumerate(tokens)})
    labels, columns = alphabet(made, len(tokens), 0)
    assert labels == "_ \u0938\u0915\u0921\u093e\u095c"
    assert columns == [0, *range(4, 10)]


def test_small_letters_whose_capitals_are_one_stay_small(tmp_path: Path) -> None:
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abi\u0131\u011f"]
    made = tokenizer(tmp_path, {token: i for i, token in enumerate(tokens)})
    assert alphabet(made, len(tokens), 0)[0] == "_ abi\u0131\u011f"


def test_a_folder_as_older_recipes_left_it(tmp_path: Path) -> None:
    """A pickle of weights, and no settings of the tokenizer; or what git left of a file."""
    made = network("wav2vec2")
    made.config.save_pretrained(tmp_path)
    torch.save(made.state_dict(), tmp_path / "pytorch_model.bin")
    tokenizer(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": true}')
    draws, audio = Draws([0]), Audio.of([torch.randn(4_000) * 0.1])
    found, expected = models.load(f"hf-ctc:{tmp_path}"), tiny_hf("wav2vec2", tmp_path)
    assert torch.equal(found.loss(audio, ["SO"], draws), expected.loss(audio, ["SO"], draws))
    for name in ("vocab.json", "pytorch_model.bin"):
        (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        with pytest.raises(
            MelmoatError, match=r"(vocab\.json|_model\.bin): it is a git-lfs pointer"
        ):
            models.load(f"hf-ctc:{tmp_path}")

"""Vectors of sentences are those of transformers, whatever stands beside them in a batch."""

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from melmoat.semantic import Sentences, distance, load
from melmoat.text import TextError

transformers = pytest.importorskip("transformers", reason="needs the extra semantic")

from tests.semantic import tiny  # noqa: E402

TEXTS = ["the cat sat on the mat", "a dog ran", "go", "stop it", "the dogs ran under a road going"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def sentences(folder: Path) -> Sentences:
    return load(str(folder))


def directly(folder: Path, text: str, longest: int = tiny.LONGEST) -> Tensor:
    """The mean over the tokens of one text alone, by the automatic classes."""
    network = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(text, padding=False, truncation=True, max_length=longest)
    ids = torch.tensor([inputs["input_ids"]])
    with torch.no_grad():
        out = network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return normalize(out[0].double().mean(0), dim=0)


def test_vectors_are_those_of_transformers(folder: Path, sentences: Sentences) -> None:
    found = sentences.embed(TEXTS)
    assert found.shape == (5, 16)
    assert found.norm(dim=-1).tolist() == pytest.approx([1.0] * 5)
    for text, vector in zip(TEXTS, found, strict=True):
        torch.testing.assert_close(vector, directly(folder, text), atol=1e-6, rtol=0)


def test_a_batch_changes_rounding_only(sentences: Sentences) -> None:
    generator = random.Random(0)
    texts = [" ".join(generator.choices(tiny.WORDS, k=k % 9 + 1)) for k in range(40)]
    together = sentences.embed(texts)
    for batch in (1, 3, 40):
        torch.testing.assert_close(sentences.embed(texts, batch), together, atol=1e-6, rtol=0)
    assert torch.equal(sentences.embed(texts), together)


def test_a_long_text_is_cut_where_its_files_say(folder: Path, sentences: Sentences) -> None:
    long, cut = "the cat sat " * 20, "the cat sat " * 3 + "the"
    assert len(sentences.tokens(long)) == tiny.LONGEST
    torch.testing.assert_close(*sentences.embed([long, cut]))
    torch.testing.assert_close(sentences.embed([long])[0], directly(folder, long))


def test_case_and_punctuation_do_not_count(sentences: Sentences) -> None:
    one, other, third = sentences.embed(["THE CAT SAT", "The cat, sat!", "the dog sat"])
    assert torch.equal(one, other)
    assert float(distance(one, other)) == pytest.approx(0, abs=1e-12)
    assert float(distance(one, third)) > 0.001


def test_distance_is_from_0_to_2() -> None:
    ahead = torch.tensor([1.0, 0.0])
    others = torch.tensor([[1.0 + 1e-6, 0.0], [0.0, 1.0], [-1.0 - 1e-6, 0.0]])
    assert distance(ahead, others).tolist() == [0, 1, 2]


def test_one_text_is_no_list_and_no_text_is_no_vector(sentences: Sentences) -> None:
    with pytest.raises(TextError, match="expected a list"):
        sentences.embed("go")
    assert sentences.embed([]).shape == (0, 16)

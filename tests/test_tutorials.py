"""The tutorials run as they stand, and the notebooks are theirs."""

import json
import re
import shutil
from pathlib import Path

import pytest
import tutorials

HOME = Path(__file__).parents[1]
each = pytest.mark.parametrize("page", tutorials.tutorials(), ids=lambda path: path.stem)
# The fast code of evaluate.md takes half a minute: make test-tutorials.
QUICK = [page for page in tutorials.tutorials() if page.stem != "evaluate"]


def masked(text: str) -> str:
    """Output without what may differ elsewhere: numbers, transcripts, their width."""
    words = re.sub(r"-?\d+(\.\d+)?|\b[A-Z' ]*[A-Z]\b", "", text)
    return re.sub(r"[\s─━┃│┳┴┼╇┡┩┏┓└┘]+", " ", words)


def follow(page: Path, slow: bool) -> None:
    session = tutorials.Session()
    for block in tutorials.blocks(page.read_text("utf-8")):
        if block.missing or (not slow and "slow" in block.how):
            continue
        said = session.run(block)
        if block.output is not None:
            assert masked(said) == masked(block.output), "python tools/tutorials.py --outputs"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with what the tutorials use of the repository; what they write stays in it."""
    for name in ("results", "src", "suites"):
        (tmp_path / name).symlink_to(HOME / name)
    shutil.copytree(HOME / "examples", tmp_path / "examples")  # not a link: .. has to lead here
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", tutorials.WIDTH)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("page", QUICK, ids=lambda path: path.stem)
def test_the_fast_code_runs_and_prints_what_is_shown(page: Path) -> None:
    follow(page, slow=False)


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
@each
def test_all_code_runs_and_prints_what_is_shown(page: Path) -> None:
    follow(page, slow=True)


@each
def test_notebooks_are_up_to_date(page: Path) -> None:
    there = tutorials.notebook_of(page).read_text("utf-8")
    assert there == tutorials.notebook(page.read_text("utf-8")), "python tools/tutorials.py"


@each
def test_a_notebook_has_the_code_of_its_tutorial(page: Path) -> None:
    text = page.read_text("utf-8")
    cells = json.loads(tutorials.notebook(text))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"][1:]
    wanted = [b.code.rstrip("\n") for b in tutorials.blocks(text) if "never" not in b.how]
    assert [one.removeprefix("%%sh\n") for one in code] == wanted


def test_a_block_says_how_it_runs_and_what_it_prints() -> None:
    shell = "<!-- run: slow, exit 1 -->\n```sh\nmelmoat x\n```\n\n```text\nout\n```\n"
    text = f"a\n\n{shell}\n```python\n1\n```\n"
    first, second = tutorials.blocks(text)
    assert (first.how, first.code_of_exit, first.output) == (("slow", "exit 1"), 1, "out\n")
    assert (second.language, second.how, second.output) == ("python", (), None)


def test_a_command_that_fails_is_an_error() -> None:
    block = tutorials.Block("sh", "melmoat audit no-such-folder\n", (), None)
    with pytest.raises(Exception, match="no-such-folder"):
        tutorials.Session().run(block)


def test_output_is_renewed_and_nothing_else() -> None:
    text = "x\n\n```python\nprint(2)\n```\n\n```text\nold\n```\n\ny\n"
    assert tutorials.renewed(text) == text.replace("old", "2")
    assert tutorials.renewed(text.replace("print(2)", "pass")) == "x\n\n```python\npass\n```\n\ny\n"

"""The code in the documents runs as it stands there."""

import pathlib
import re
import textwrap

import pytest

from tests import toolbox

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = [
    str(path.relative_to(ROOT))
    for path in [
        ROOT / "README.md",
        ROOT / "notebooks" / "README.md",
        *sorted((ROOT / ".github").rglob("*.md")),
    ]
]


def blocks(document: str) -> list[str]:
    """Python blocks of a Markdown file; those in a list are indented."""
    found = re.findall(r"^( *)```python\n(.*?)^\1```", (ROOT / document).read_text(), re.M | re.S)
    return [textwrap.dedent(code) for _, code in found]


WITH_CODE = [document for document in DOCUMENTS if blocks(document)]


def test_documents_are_found():
    assert {"README.md", ".github/CONTRIBUTING.md", ".github/docs/from-optax.md"} <= {*WITH_CODE}


@pytest.mark.parametrize("document", WITH_CODE)
def test_code_blocks_run_one_after_another(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": document}
    for code in blocks(document):
        exec(compile(code, document, "exec", dont_inherit=True), names)
    for name, value in list(names.items()):
        if name.startswith("test_"):
            value()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document):
    text = (ROOT / document).read_text()
    assert "@@" not in text
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert ((ROOT / document).parent / target).exists(), target


def test_readme_trains_256_optimizers_in_one_program():
    names = {}
    exec(blocks("README.md")[0], names)
    assert names["losses"].shape == (256,)
    assert names["losses"].min() < 1e-3 < names["losses"].max()


def test_the_toolbox_page_is_made_of_the_docstrings():
    assert toolbox.PAGE.read_text() == toolbox.page(), "run python -m tests.toolbox"

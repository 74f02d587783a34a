"""The notebooks are their scripts, and run from top to bottom on the embedded model."""

import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = ("first_variations", "augment_a_dataset", "how_rival_works")
FIELDS = {"STEPS": 4, "FRAMES": 3}
"""Of the forms, filled in as a user would, so that it is quicker."""
SAID = {
    "first_variations": [
        "the same seed, the same pictures: True",
        "variation-0004.png",
        "generated-0004.png",
        "edited-0001.png",
    ],
    "augment_a_dataset": ["stopped\ndone      1 of 3 shards", "2 shards were left", "untouched: True", "3 of 3 shards"],
    "how_rival_works": ["text to image", "consistency"],
}
PICTURES = {"first_variations": 4, "augment_a_dataset": 1, "how_rival_works": 7}


def test_all_are_tested():
    assert {path.stem for path in FOLDER.iterdir() if path.suffix in (".py", ".ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_its_script(name):
    script, notebook = (jupytext.read(FOLDER / f"{name}.{kind}") for kind in ("py", "ipynb"))
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in script.cells
    ]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    for key in ("accelerator", "colab", "kernelspec"):
        assert notebook.metadata[key] == script.metadata[key]
    nbformat.validate(notebook)


@pytest.mark.documentation
@pytest.mark.parametrize("name", NAMES)
def test_runs_from_top_to_bottom(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    notebook = jupytext.read(FOLDER / f"{name}.ipynb")
    for cell in notebook.cells:
        for field, value in FIELDS.items():
            cell.source = re.sub(rf"^{field} = \d+  # @param", f"{field} = {value}  # @param", cell.source, flags=re.M)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    for words in SAID[name]:
        assert words in said
    shown = [output for output in outputs if output.output_type == "display_data"]
    assert sum("image/png" in output.data for output in shown) == PICTURES[name]

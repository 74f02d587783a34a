"""The notebooks are their scripts, and run from top to bottom on the embedded model."""

import re
import shutil
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from rival_jax import samples

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


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Runs cells from top to bottom, in a process of their own, with form fields filled in as a user would."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")

    def execute(notebook, **more):
        for field, value in (FIELDS | more).items():
            for cell in notebook.cells:
                cell.source = re.sub(rf"^{field} = .*?  # @", f"{field} = {value!r}  # @", cell.source, flags=re.M)
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert not [output for output in outputs if output.output_type == "error"]
        return outputs, "".join(output.text for output in outputs if output.output_type == "stream")

    return execute


@pytest.mark.documentation
@pytest.mark.parametrize("name", NAMES)
def test_runs_from_top_to_bottom(execute, name):
    outputs, said = execute(jupytext.read(FOLDER / f"{name}.ipynb"))
    for words in SAID[name]:
        assert words in said
    shown = [output for output in outputs if output.output_type == "display_data"]
    assert sum("image/png" in output.data for output in shown) == PICTURES[name]


@pytest.mark.documentation
@pytest.mark.slow
def test_going_on_after_a_disconnect(execute, tmp_path):
    """With the cells that the notebook names, in a new process."""
    for name in ("boat", "boat-teal", "house"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        shutil.copy(samples.DIRECTORY / f"{name}.png", tmp_path / "photos" / name)
    form = {"INPUT": str(tmp_path / "photos"), "OUTPUT": str(tmp_path / "augmented"), "SHARD_SIZE": 1}

    def cells(*headings):
        """Those of the notebook that stand under some headings; the first ones stand under none."""
        notebook = jupytext.read(FOLDER / "augment_a_dataset.ipynb")
        parts = {"": []}
        for cell in notebook.cells:
            if found := re.search(r"^## (.*)", cell.source, flags=re.M):
                parts[found[1]] = []
            list(parts.values())[-1].append(cell)
        notebook.cells = [cell for heading in headings for cell in parts[heading]]
        return notebook

    _, said = execute(cells("", "Settings", "Plan", "Pilot", "Run"), **form)
    assert "done      1 of 3 shards" in said
    _, said = execute(cells("", "Settings", "Plan", "Go on"), **form)
    assert "2 shards were left" in said and "3 of 3 shards" in said

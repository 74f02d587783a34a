"""What is released: the files in wheel and sdist, and that all places agree on the version."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

from rival_jax import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The files that are uploaded: the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def test_wheel_has_the_package_and_nothing_else(built):
    """Weights, samples and pages are files that no import would miss before a user does."""
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = Parser().parsestr(wheel.read(f"rival_jax-{__version__}.dist-info/METADATA").decode())
        licence = wheel.read(f"rival_jax-{__version__}.dist-info/licenses/LICENSE").decode()
    package = [file.relative_to(ROOT) for file in (ROOT / "rival_jax").rglob("*") if file.is_file()]
    assert names == {file.as_posix() for file in package if "__pycache__" not in file.parts}
    assert {
        "rival_jax/py.typed",
        "rival_jax/assets/samples/captions.json",
        "rival_jax/jobs/pages/gallery.html",
    } <= names
    assert {f"rival_jax/assets/{name}" for name in ("tiny/model_index.json", "judge/model.safetensors")} <= names
    assert metadata["Version"] == __version__ and metadata["License-Expression"] == "Apache-2.0"
    assert {"cuda", "tpu", "ray", "parity", "test"} <= set(metadata.get_all("Provides-Extra", []))
    assert licence == (ROOT / "LICENSE").read_text()


def test_sdist_has_what_the_tests_need(built):
    with tarfile.open(built[1]) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames()}
    assert {"LICENSE", "CHANGELOG.md", "CITATION.cff", "README.md", "pyproject.toml", "rival_jax/py.typed"} <= names
    for folder in ("tests", "configs", "scripts"):
        files = [file.relative_to(ROOT) for file in (ROOT / folder).rglob("*") if file.is_file()]
        assert files and {file.as_posix() for file in files if "__pycache__" not in file.parts} <= names
    assert not [name for name in names if name.startswith(("docs/", ".ci/")) and name.endswith((".png", "run"))]


def test_changelog_citation_and_package_agree():
    """In the form of Keep a Changelog, the newest release first."""
    text = (ROOT / "CHANGELOG.md").read_text()
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert releases[0] == (__version__, str(citation["date-released"])) and citation["version"] == __version__
    assert releases == sorted(releases, key=lambda release: [int(n) for n in release[0].split(".")], reverse=True)
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["[Unreleased]", *(f"[{number}] - {date}" for number, date in releases)]
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}

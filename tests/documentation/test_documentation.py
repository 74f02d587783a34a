"""What can be told of the pages without running them: links, commands that parse, files that exist, lengths."""

import re
import shlex
import tomllib

import pytest
from pages import PAGES, ROOT, anchors, blocks, links, spans
from workspace import furnish

from rival_jax.cli import command_of

NAMED = {page.name: page for page in PAGES}
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    furnish(folder)
    return folder


def test_the_readme():
    """Its length, and its first screen: a picture, two commands, ten lines of Python."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 250
    first = "\n".join(lines[:30])
    assert "![" in first
    commands, python, *_ = blocks(ROOT / "README.md")
    assert (commands.language, len(commands.text.splitlines())) == ("bash", 2)
    assert python.language == "python" and len(python.text.splitlines()) <= 10 and python.line < 30


@EACH
def test_links(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(file), f"{page.name} links to {target}"


def test_every_page_and_picture_is_shown():
    """From the README each page; on some page each picture, and how it was made."""
    shown = {target.partition("#")[0].rpartition("/")[2] for page in PAGES for target in links(page)}
    assert {page.name for page in PAGES[1:]} <= {target.rpartition("/")[2] for target in links(PAGES[0])}
    made = spans(NAMED["contributing.md"])
    for picture in (ROOT / "docs").glob("*.png"):
        assert picture.name in shown and picture.name in made, picture.name


@EACH
def test_words_behind_languages(page):
    for block in blocks(page):
        assert block.language, f"{page.name}, line {block.line}: a block without a language"
        for word in block.words:
            assert word == "slow" or word.startswith("tested-by="), f"{page.name}, line {block.line}: {word}"


@EACH
def test_tested_elsewhere(page):
    """The named files have each line, but for its comment."""
    for block in blocks(page):
        if block.tested_by:
            held = " ".join(" ".join((ROOT / file).read_text().split()) for file in block.tested_by)
            for line in block.text.splitlines():
                command = " ".join(line.partition("  #")[0].split())
                assert command in held, f"{page.name}, line {block.line}: nothing of {block.tested_by} runs {command}"


def _check(arguments):
    """They parse; of a command's name alone it is enough that there is one."""
    if re.fullmatch(r"[a-z-]+|augment \w+", " ".join(arguments)):
        with pytest.raises(SystemExit) as end:
            command_of([*arguments, "--help"])
        assert end.value.code == 0, arguments
    else:
        command_of(["photo.jpg" if word == "PHOTO" else word for word in arguments])


@EACH
def test_commands_in_sentences(page, folder, monkeypatch):
    """They parse; the files that they name exist, and so do extras."""
    monkeypatch.chdir(folder)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for span in spans(page):
        words = shlex.split(span) if re.match(r"(rival|python|pip|pytest) ", span) else []
        if words[:1] == ["rival"]:
            _check(words[1:])
        for word in words:
            if word.startswith(("scripts/", "tests/")):
                assert (ROOT / word).exists(), f"{page.name}: {span}"
            for names in re.findall(r"\[([\w,]+)\]", word if words[0] == "pip" else ""):
                assert set(names.split(",")) <= extras.keys(), f"{page.name}: {span}"


@EACH
def test_commands_in_blocks(page, folder, monkeypatch):
    """They parse, also those that only the slow tests run; but for variables and files that an earlier one writes."""
    monkeypatch.chdir(folder)
    shown = "\n".join(block.text for block in blocks(page) if block.language == "bash")
    for line in shown.replace("\\\n", " ").splitlines():
        if line.startswith("rival ") and not re.search(r"\$|run\.json|augmented/", line):
            _check(shlex.split(line, comments=True)[1:])

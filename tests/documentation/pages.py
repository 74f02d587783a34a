"""README.md and docs/: their fenced blocks, their commands within sentences, their links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^( *)```(\w*) *([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """What stands between two fences: its language, the words behind that, its text, and the line where it begins."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def tested_by(self) -> str | None:
        """The file that runs the same lines."""
        named = [word.removeprefix("tested-by=") for word in self.words if word.startswith("tested-by=")]
        return named[0] if named else None


def blocks(page: Path) -> list[Block]:
    """A page's fenced blocks in order."""
    text = page.read_text()
    return [
        Block(found[2], tuple(found[3].split()), found[4], text[: found.start()].count("\n") + 1)
        for found in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    """What stands between backticks in sentences and tables, on one line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def links(page: Path) -> list[str]:
    """Where links and pictures of a page lead, but for those to other sites."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """The names of a page's headings in links, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}

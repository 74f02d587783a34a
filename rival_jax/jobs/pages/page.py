"""The gallery's page: HTML text of what a job made of some exemplars. All that users gave is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from rival_jax.jobs.pages.histograms import histogram
from rival_jax.jobs.rows import STATUSES, Row

_SCORES = (
    ("Reconstruction of the exemplar, dB", "psnr", "filtered_inversion"),
    ("Safety checker, flagged above 0", "nsfw_score", "filtered_nsfw"),
    ("Probability of the own label", "label_score", "filtered_label"),
    ("Distance to the nearest picture", "distance", "filtered_duplicate"),
)
"""Title, column, and the status of pictures that are dropped for it."""
_UNREADABLE = "The exemplar cannot be read."
_NO_LABEL = "no label"


@dataclass(frozen=True)
class Thumb:
    """A small picture that stands for another.

    url: of its file, relative to the page; full: of the picture itself, where that is a file beside the gallery.
    """

    url: str
    width: int
    height: int
    full: str | None = None


@dataclass(frozen=True)
class Strip:
    """An exemplar and what became of it. Pictures that do not exist have no thumb."""

    id: str
    label: str | None
    caption: str
    exemplar: Thumb | None
    pictures: list[tuple[Row, Thumb | None]]

    @property
    def rows(self) -> list[Row]:
        return [row for row, _ in self.pictures]


def page(title: str, facts: list[tuple[str, str]], strips: list[Strip]) -> str:
    """The whole page."""
    rows = [row for strip in strips for row in strip.rows]
    kept = sum(row.status == "success" for row in rows)
    labels = Counter(strip.label for strip in strips)
    order = sorted(labels, key=lambda label: (label is None, label))
    statuses = Counter(row.status for row in rows)
    template = Template((files("rival_jax.jobs.pages") / "gallery.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        summary=f"{kept:,} of {len(rows):,} pictures kept, of {len(strips):,} exemplars",
        facts=_pairs(facts),
        histograms="".join(_histogram(*score, strips) for score in _SCORES),
        statuses=_chips("status", [(name, name, statuses[name]) for name in STATUSES if name in statuses]),
        labels=_chips(
            "label",
            [(str(n), _NO_LABEL if label is None else label, labels[label]) for n, label in enumerate(order)]
            if order != [None]
            else [],
        ),
        strips="".join(_strip(number, strip, order.index(strip.label)) for number, strip in enumerate(strips)),
        failures=_failures(strips),
    )


def _strip(number: int, strip: Strip, label: int) -> str:
    """An exemplar beside its pictures."""
    row = next(iter(strip.rows), None)
    facts = [
        ("id", strip.id),
        ("label", strip.label),
        ("caption", strip.caption),
        ("psnr", row and row.psnr is not None and f"{row.psnr:.2f} dB"),
        ("sha256", row and row.source_sha256),
    ]
    shape = f"{strip.exemplar.width} / {strip.exemplar.height}" if strip.exemplar else "1"
    pictures = "".join(
        f'<li data-status="{row.status}">'
        + _tile(f"p{number}-{place}", f"variation {_variation(row)}", row.status, row.message, thumb, _row_facts(row))
        + f'<span class="verdict" aria-hidden="true">{_verdict(row.status)}<span>{_variation(row)}</span></span></li>'
        for place, (row, thumb) in enumerate(strip.pictures)
    )
    label_line = "" if strip.label is None else f'<span class="label">{escape(strip.label)}</span>'
    return (
        f'<section class="strip" id="e{number}" data-label="{label}" aria-labelledby="h{number}" '
        f'style="--shape: {shape}"><div class="exemplar">'
        f"{_tile(f'x{number}', 'exemplar', '', '' if strip.exemplar else _UNREADABLE, strip.exemplar, facts)}"
        f'<h3 id="h{number}" title="{escape(strip.id)}"><bdi>{escape(strip.id)}</bdi></h3>{label_line}'
        f'<p class="caption">{escape(strip.caption)}</p></div><ol class="pictures">{pictures}</ol></section>\n'
    )


def _tile(
    id: str, name: str, status: str, message: str, thumb: Thumb | None, facts: Iterable[tuple[str, object]]
) -> str:
    """A picture, or why there is none, that can be focused and opened; its facts lie hidden beside it."""
    words = status.replace("_", " ")
    if thumb is not None:
        full = "" if thumb.full is None else f' data-full="{escape(thumb.full)}"'
        inside = (
            f'<img src="{escape(thumb.url)}" width="{thumb.width}" height="{thumb.height}" alt=""{full} loading="lazy">'
        )
    else:
        inside = f'<span class="missing"><span>{escape(message or "The picture is gone or damaged.")}</span></span>'
    facts = list(facts)
    brief = "\n".join(f"{key} {value}" for key, value in facts if key in ("seed", "guidance") and value is not None)
    hint = f'<span class="hint">{escape(brief)}</span>' if brief else ""
    return (
        f'<button type="button" class="tile" id="{id}" tabindex="-1" data-name="{escape(name)}" '
        f'aria-label="{escape(", ".join(filter(None, (name, words, message))))}">'
        f'<span class="frame">{inside}{hint}</span></button>'
        f"<dl hidden>{_pairs(facts)}</dl>"
    )


def _row_facts(row: Row) -> list[tuple[str, object]]:
    """What a row says, in words; empty where it says nothing."""
    made = row.width is not None and row.height is not None
    checked = {True: "flagged", False: "passed", None: "not checked" if row.status == "success" else None}[row.nsfw]
    return [
        ("status", row.status.replace("_", " ")),
        ("reason", row.message),
        ("prompt", row.prompt),
        ("negative", row.negative_prompt),
        ("seed", row.seed),
        ("guidance", None if row.guidance_scale is None else f"{row.guidance_scale:.4g}"),
        ("recipe", row.recipe),
        ("size", f"{row.width} × {row.height}" if made else None),
        ("psnr", None if row.psnr is None else f"{row.psnr:.2f} dB"),
        ("safety", checked),
        ("nsfw score", _score(row.nsfw_score)),
        ("seen as", row.label_found),
        ("label score", _score(row.label_score)),
        ("distance", _score(row.distance)),
        ("file", row.file_name),
    ]


def _score(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _pairs(facts: Iterable[tuple[str, object]]) -> str:
    """The rows of a description list, without the empty ones."""
    return "".join(
        f"<div><dt>{escape(key)}</dt><dd><bdi>{escape(str(value))}</bdi></dd></div>"
        for key, value in facts
        if value is not None and value is not False and value != ""
    )


def _chips(of: str, choices: list[tuple[str, str, int]]) -> str:
    """A group of filters, each with how many it would show; choices are value, words and count."""
    if not choices:
        return ""
    chips = "".join(
        f'<button type="button" class="chip {_kind(value)}" aria-pressed="false" data-of="{of}" '
        f'data-value="{escape(value)}">{escape(words.replace("_", " ") if of == "status" else words)} '
        f"<b>{count:,}</b></button>"
        for value, words, count in choices
    )
    return f'<div class="chips" role="group" aria-label="Filter by {of}">{chips}</div>'


def _verdict(status: str) -> str:
    return f'<span class="chip-like {_kind(status)}">{status.replace("_", " ")}</span>'


def _kind(status: str) -> str:
    """The class of a status, which decides its colour."""
    return status.split("_")[0] if status in STATUSES else ""


def _histogram(title: str, column: str, status: str, strips: list[Strip]) -> str:
    """The distribution of one score; an exemplar's own counts once."""
    kept, dropped = [], []
    for strip in strips:
        rows = [row for row in strip.rows if getattr(row, column) is not None]
        for row in rows[:1] if column == "psnr" else rows:
            (dropped if row.status == status else kept).append(getattr(row, column))
    return histogram(title, column, kept, dropped)


def _failures(strips: list[Strip]) -> str:
    """A table of all that was not kept, one line for pictures of one exemplar that share a sentence."""
    lines: dict[tuple[int, str, str], list[int]] = {}
    for number, strip in enumerate(strips):
        for place, row in enumerate(strip.rows):
            if row.status != "success":
                lines.setdefault((number, row.status, row.message), []).append(place)
    if not lines:
        return '<p class="muted">None.</p>'
    body = "".join(
        f'<tr><td><a href="#p{number}-{places[0]}"><bdi>{escape(strips[number].id)}</bdi></a></td>'
        f"<td>{', '.join(_variation(strips[number].rows[place]) for place in places)}</td>"
        f"<td>{_verdict(status)}</td><td>{escape(message)}</td></tr>"
        for (number, status, message), places in lines.items()
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("exemplar", "variation", "status", "why"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _variation(row: Row) -> str:
    """A variation's number as metadata has it."""
    return "–" if row.variation is None else str(row.variation)

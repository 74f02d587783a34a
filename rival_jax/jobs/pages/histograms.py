"""Distributions of scores as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from statistics import median

BINS = 24
_HEIGHT = 100


def histogram(title: str, column: str, kept: Iterable[float], dropped: Iterable[float]) -> str:
    """A figure of one score: bars of kept pictures with the dropped ones stacked on them, least, median and greatest.

    Values that are not finite are left out; without any other, the figure is an empty string.
    """
    low_part, high_part = (sorted(filter(math.isfinite, values)) for values in (kept, dropped))
    values = low_part + high_part
    if not values:
        return ""
    least, most, middle = min(values), max(values), median(values)
    counts = [_count(part, least, most) for part in (low_part, high_part)]
    scale = _HEIGHT / max(map(sum, zip(*counts, strict=True)))
    pairs = zip(*counts, strict=True)
    bars = "".join(_bars(number, low, high, scale) for number, (low, high) in enumerate(pairs))
    place = (middle - least) / (most - least) * BINS if most > least else BINS / 2
    spoken = f"{title}: {len(values)} values from {least:.3g} to {most:.3g}, median {middle:.3g}"
    if high_part:
        spoken += f", {len(high_part)} of them dropped for it"
    return (
        f'<figure class="histogram"><figcaption>{escape(title)} <code>{escape(column)}</code></figcaption>'
        f'<svg viewBox="0 0 {BINS} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(spoken)}">'
        f'{bars}<line class="median" x1="{place:.2f}" x2="{place:.2f}" y1="0" y2="{_HEIGHT}"/></svg>'
        f'<div class="axis"><span>{least:.3g}</span><span>median {middle:.3g}</span><span>{most:.3g}</span></div>'
        "</figure>"
    )


def _count(values: list[float], least: float, most: float) -> list[int]:
    """How many of the values lie in each of the equal bins; all in the middle one where there is no range."""
    counts = [0] * BINS
    for value in values:
        place = int((value - least) / (most - least) * BINS) if most > least else BINS // 2
        counts[min(place, BINS - 1)] += 1
    return counts


def _bars(number: int, kept: int, dropped: int, scale: float) -> str:
    """The bar of one bin, in up to two parts."""
    parts = (("kept", kept, kept), ("dropped", dropped, kept + dropped))
    return "".join(
        f'<rect class="{name}" x="{number + 0.06:.2f}" width="0.88" '
        f'y="{_HEIGHT - top * scale:.1f}" height="{count * scale:.1f}"/>'
        for name, count, top in parts
        if count
    )

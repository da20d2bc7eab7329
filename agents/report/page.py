"""Pieces of HTML: everything from a file is escaped here, everything shown is inside the page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from agents.report.draw import png_bytes
from agents.report.style import STYLE

# the browser itself refuses to load anything from anywhere
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


def text(value: object) -> str:
    """The value as text, safe between tags and in attributes."""
    return escape(str(value), quote=True)


def document(title: str, sections: Iterable[str]) -> str:
    """The whole page."""
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            f"<title>{text(title)}</title>",
            f"<style>{STYLE}</style>\n</head>\n<body>\n<main>",
            *sections,
            "</main>\n</body>\n</html>\n",
        )
    )


def section(heading: str, *parts: str) -> str:
    """A titled part of the page."""
    return f"<section>\n<h2>{text(heading)}</h2>\n" + "\n".join(parts) + "\n</section>"


def lead(sentence: str) -> str:
    """What the section shows, in a sentence or two."""
    return f"<p>{text(sentence)}</p>"


def missing(what: str) -> str:
    """The one plain line of a part that has no data."""
    return f'<p class="missing">{text(what)}</p>'


def alarm(what: str) -> str:
    """One plain line about something that is wrong."""
    return f'<p class="alarm">{text(what)}</p>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: Sequence[int] = ()) -> str:
    """A table that scrolls sideways where it does not fit. Cells are HTML: escape them with `text` first."""
    classes = ['class="number"' if column in numeric else "" for column in range(len(heads))]
    head = "".join(f"<th {kind}>{text(cell)}</th>" for kind, cell in zip(classes, heads, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td {kind}>{cell}</td>" for kind, cell in zip(classes, row, strict=True)) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def figure(content: str, caption: str) -> str:
    """A picture or drawing with its caption."""
    return f"<figure>{content}<figcaption>{text(caption)}</figcaption></figure>"


def grid(items: Iterable[str]) -> str:
    """Figures side by side, as many as fit."""
    return '<div class="grid">\n' + "\n".join(items) + "\n</div>"


def details(summary: str, content: str) -> str:
    """Content that opens on a click."""
    return f"<details><summary>{text(summary)}</summary>\n{content}\n</details>"


def image(picture: np.ndarray, alt: str) -> str:
    """The picture (H, W, 3) uint8, carried by the page."""
    return f'<img alt="{text(alt)}" src="data:image/png;base64,{_base64(png_bytes(picture))}">'


def video(path: Path) -> str:
    """The mp4, carried by the page."""
    data = f"data:video/mp4;base64,{_base64(path.read_bytes())}"
    return f'<video controls loop muted playsinline preload="auto" src="{data}"></video>'


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")

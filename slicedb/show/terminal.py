"""Draw a picture in a terminal: by its own protocol where it has one, else in half blocks."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from PIL import Image

Way: TypeAlias = Literal["iterm", "kitty", "blocks", "none"]

_CHUNK = 4096
"""Characters of one message of kitty's protocol, at most."""


def way_of(environment: Mapping[str, str] | None = None) -> Way:
    """Return how the terminal draws, by what it says of itself.

    >>> way_of({"TERM_PROGRAM": "iTerm.app"}), way_of({"TERM": "xterm-kitty"}), way_of({})
    ('iterm', 'kitty', 'none')
    >>> way_of({"TERM": "xterm-256color", "COLORTERM": "truecolor"})
    'blocks'
    """
    said = os.environ if environment is None else environment
    if said.get("TMUX") or said.get("STY"):  # multiplexers pass only plain cells on
        return "blocks" if said.get("COLORTERM") in ("truecolor", "24bit") else "none"
    if said.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
        return "iterm"
    if "kitty" in said.get("TERM", "") or said.get("KITTY_WINDOW_ID"):
        return "kitty"
    return "blocks" if said.get("COLORTERM") in ("truecolor", "24bit") else "none"


def drawn(picture: Image.Image, way: Way, columns: int = 48) -> str:
    """Return the text that draws a picture, "" where the terminal cannot.

    Args:
        picture: RGB, as displayed.
        way: see `way_of`.
        columns: cells that it is wide, at most.
    """
    if way == "none":
        return ""
    if way == "blocks":
        return _blocks(picture, columns)
    file = io.BytesIO()
    small = picture.convert("RGB")
    small.thumbnail((640, 640))
    small.save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode()
    if way == "iterm":
        return f"\033]1337;File=inline=1;width={columns}:{text}\a\n"
    parts = [text[i : i + _CHUNK] for i in range(0, len(text), _CHUNK)]
    more = [int(i + 1 < len(parts)) for i in range(len(parts))]
    heads = [f"a=T,f=100,c={columns},m={more[0]}", *(f"m={m}" for m in more[1:])]
    return "".join(f"\033_G{head};{part}\033\\" for head, part in zip(heads, parts)) + "\n"


def _blocks(picture: Image.Image, columns: int) -> str:
    """Return lines of half blocks: a cell has a pixel in its upper and one in its lower half."""
    small = picture.convert("RGB")
    small.thumbnail((columns, columns))
    width, height = small.size
    pixels = small.load()
    assert pixels is not None
    lines = []
    for y in range(0, height, 2):
        cells = []
        for x in range(width):
            top, low = pixels[x, y], pixels[x, min(y + 1, height - 1)]
            up, down = (";".join(map(str, colour)) for colour in (top, low))  # type: ignore[arg-type]
            cells.append(f"\033[38;2;{up}m\033[48;2;{down}m▀")
        lines.append("".join(cells) + "\033[0m")
    return "\n".join(lines) + "\n"

"""Charts as SVG text, written by hand: a few kilobytes, sharp at any size, no dependency."""

from __future__ import annotations

import math
from typing import Callable, List, Mapping, Sequence, Tuple
from xml.sax.saxutils import escape

from .clients import CLIENTS
from .uploads import Row

COLOURS = dict(zip(CLIENTS, ("#1f6feb", "#8b949e", "#c3c9d0", "#d4a72c")))
LABEL_WIDTH, PLOT_WIDTH, NOTE_WIDTH = 262, 480, 90
BAR, GAP, TOP, BOTTOM = 13, 12, 62, 34
STYLE = "text{font:12px system-ui,sans-serif;fill:#24292f}.d{fill:#57606a}.t{font-weight:600}"


def upload_chart(rows: Sequence[Row], subtitle: str) -> str:
    """A bar per client and workload, as long as its time over the floor; seconds beside it."""
    names = [name for name in CLIENTS if any(name in row.clients for row in rows)]
    longest = max(row.clients[name].wall / row.floor for row in rows for name in row.clients)
    axis = math.ceil(longest)
    scale = PLOT_WIDTH / axis
    block = BAR * len(names) + GAP
    height = TOP + block * len(rows) + BOTTOM
    body = [
        _text(10, 20, "Time to upload, as a multiple of the floor (shorter is better)", "t"),
        _text(10, 36, subtitle, "d"),
    ]
    for number, name in enumerate(names):
        body.append(_box(LABEL_WIDTH + number * 150, 44, 10, 10, COLOURS[name]))
        body.append(_text(LABEL_WIDTH + 14 + number * 150, 53, name))
    for tick in range(0, axis + 1):
        x = LABEL_WIDTH + tick * scale
        colour = "#cf222e" if tick == 1 else "#eaeef2"
        body.append(_line(x, TOP, x, height - BOTTOM, colour))
        label = "floor" if tick == 1 else f"{tick}×"
        body.append(_text(x, height - BOTTOM + 16, label, "d", "middle"))
    for number, row in enumerate(rows):
        y = TOP + number * block + GAP / 2
        middle = y + BAR * len(names) / 2 + 4
        body.append(_text(10, middle, row.workload.name, "t"))
        body.append(_text(56, middle, row.workload.title, "d"))
        for name in names:
            if name in row.clients:
                width = row.clients[name].wall / row.floor * scale
                body.append(_box(LABEL_WIDTH, y, width, BAR - 2, COLOURS[name]))
                label = f"{row.clients[name].wall:.2f} s"
                body.append(_text(LABEL_WIDTH + width + 4, y + BAR - 3, label, "d"))
            y += BAR
    return _svg(LABEL_WIDTH + PLOT_WIDTH + NOTE_WIDTH, height, body)


Point = Tuple[float, float]


def line_chart(
    title: str, lines: Mapping[str, Sequence[Point]], label: Callable[[float], str]
) -> str:
    """Lines over two logarithmic axes: straight and at 45 degrees means linear."""
    width, height, left, bottom, top = 640, 400, 64, 40, 40
    points = [point for line in lines.values() for point in line]
    low_x, high_x = _decades([x for x, _ in points], 4)
    low_y, high_y = _decades([y for _, y in points], 10)

    def place(point: Point) -> Point:
        x = math.log(point[0] / low_x) / math.log(high_x / low_x)
        y = math.log(point[1] / low_y) / math.log(high_y / low_y)
        return left + x * (width - left - 130), height - bottom - y * (height - bottom - top)

    body = [_text(10, 20, title, "t")]
    tick = low_x
    while tick <= high_x * 1.01:
        x, y = place((tick, low_y))
        body += [_line(x, top, x, y, "#eaeef2"), _text(x, y + 16, label(tick), "d", "middle")]
        tick *= 4
    tick = low_y
    while tick <= high_y * 1.01:
        x, y = place((low_x, tick))
        body.append(_line(x, y, width - 130, y, "#eaeef2"))
        body.append(_text(x - 6, y + 4, f"{tick:g} s", "d", "end"))
        tick *= 10
    colours = ("#1f6feb", "#54aeff", "#8b949e", "#d0a215")
    placed = {name: [place(point) for point in line] for name, line in lines.items()}
    for number, (name, line) in enumerate(placed.items()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        colour = colours[number % len(colours)]
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in line]
        body += [_box(width - 120, top + 18 * number, 10, 10, colour)]
        body += [_text(width - 106, top + 9 + 18 * number, name)]
    return _svg(width, height, body)


def _decades(values: Sequence[float], base: float) -> Tuple[float, float]:
    low = math.floor(math.log(min(values), base) + 1e-9)
    high = math.ceil(math.log(max(values), base) - 1e-9)
    return base**low, base ** max(high, low + 1)


def _svg(width: float, height: float, body: List[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img">'
    )
    back = f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", back, *body, "</svg>", ""])


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind} text-anchor="{anchor}">{escape(text)}</text>'


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:g}" fill="{colour}"/>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}"/>'

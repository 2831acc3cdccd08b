"""Draws the funnel of a build as an SVG: `mmedc stats CORPUS --json | python docs/funnel.py > FILE`."""

import json
import sys
from html import escape
from typing import Any

SHOWN = 2  # reasons of a step that are spelled out
ROW, LEFT, BAR, WIDTH = 26, 116, 170, 770
STYLE = "font: 13px system-ui, sans-serif; fill: #1f2933"


def picture(stats: dict[str, Any], title: str) -> str:
    """Return an SVG with one bar per step that removed documents, as long as the share of documents that it kept."""
    funnel = [row for row in stats["funnel"] if row["step"] == "read" or row["kept"] < row["read"]]
    total = funnel[0]["read"]
    height = ROW * (len(funnel) + 2) + 12
    label = f"{title}: {total:,} documents read, {funnel[-1]['kept']:,} kept"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f'<title>{escape(label)}</title><rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="24" style="{STYLE}; font-weight: 600">{escape(label)}</text>',
    ]
    for number, row in enumerate(funnel):
        y = ROW * (number + 1) + 14
        share = row["kept"] / total
        removed = {**row["dropped"], **row["rejected_by"]}
        most = sorted(removed.items(), key=lambda pair: -pair[1])
        named = [f"{reason} {count:,}" for reason, count in most[:SHOWN]]
        others = sum(count for _, count in most[SHOWN:])
        why = ", ".join([*named, f"{others:,} others"] if others else named)
        lines += [
            f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end" style="{STYLE}">{escape(row["step"])}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{BAR}" height="20" fill="#e4e7eb"/>',
            f'<rect x="{LEFT}" y="{y}" width="{BAR * share:.1f}" height="20" fill="#2680c2"/>',
            f'<text x="{LEFT + BAR + 10}" y="{y + 15}" style="{STYLE}">{row["kept"]:,}</text>',
            f'<text x="{LEFT + BAR + 70}" y="{y + 15}" style="{STYLE}; fill: #52606d">{escape(why)}</text>',
        ]
    return "\n".join([*lines, "</svg>"])


if __name__ == "__main__":
    print(picture(json.load(sys.stdin), " ".join(sys.argv[1:]) or "Funnel"))

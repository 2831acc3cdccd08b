"""Charts as SVG: histograms whose bars are links, and bars of shares. Sizes are attributes, because styles are not."""

from collections.abc import Callable, Sequence

from mmedc.inspect.page import human
from mmedc.markup import Html, tag

WIDTH, HEIGHT = 400, 96
Bar = tuple[float | None, float | None, int]


def histogram(
    name: str,
    bars: Sequence[Bar],
    address: Callable[[float | None, float | None], str],
    limits: Sequence[tuple[str, float]],
) -> Html:
    """Return a histogram; `limits` are (what, value) that are drawn as lines."""
    most, wide = max(count for _, _, count in bars), WIDTH / len(bars)
    made = []
    for at, (low, high, count) in enumerate(bars):
        if not count:
            continue
        tall = max(HEIGHT * count / most, 1.5)
        said = f"{name} {between(low, high)}: {count:,} document{'' if count == 1 else 's'}"
        rect = tag(
            "rect",
            x=f"{at * wide + 0.5:.2f}",
            y=f"{HEIGHT - tall:.2f}",
            width=f"{max(wide - 1, 0.5):.2f}",
            height=f"{tall:.2f}",
            rx=1,
        )
        # The whole height can be clicked; the keyboard has the fields below the chart.
        area = tag("rect", x=f"{at * wide:.2f}", y=0, width=f"{wide:.2f}", height=HEIGHT, class_="area")
        made.append(tag("a", tag("title", said), area, rect, href=address(low, high), aria_label=said, tabindex=-1))
    lines = [
        tag(
            "line",
            tag("title", f"{what} {human(value)}"),
            x1=f"{x:.2f}",
            x2=f"{x:.2f}",
            y1=0,
            y2=HEIGHT,
            class_="limit",
        )
        for what, value in limits
        if (x := position(bars, value)) is not None
    ]
    svg = tag("svg", made, lines, viewBox=f"0 0 {WIDTH} {HEIGHT}", preserveAspectRatio="none", class_="histogram")
    first, last = bars[0][0], bars[-1][1]
    ends = [tag("span", "" if first is None else human(first)), tag("span", "" if last is None else human(last))]
    return tag("div", svg, tag("div", ends, class_="ends", aria_hidden="true"), class_="chart")


def position(bars: Sequence[Bar], value: float) -> float | None:
    """Return where a value lies on a chart; None where it lies outside."""
    wide = WIDTH / len(bars)
    for at, (low, high, _) in enumerate(bars):
        if low is not None and high is not None and low <= value < high:
            return (at + (value - low) / (high - low)) * wide
        if low is not None and value == low:
            return at * wide
    if bars[-1][1] is not None and value == bars[-1][1]:
        return float(WIDTH)
    return None


def between(low: float | None, high: float | None) -> str:
    """Return bounds in words."""
    if low is None:
        return f"below {human(high)}" if high is not None else "any"
    return f"from {human(low)}" if high is None else f"from {human(low)} to below {human(high)}"


def share(part: float, whole: float) -> Html:
    """Return a bar for a part of a whole; the number beside it says the same."""
    wide = 100 * part / whole if whole else 0.0
    rect = tag("rect", x=0, y=0, width=f"{max(wide, 0.6 if part else 0):.2f}", height=8, rx=1)
    return tag("svg", rect, viewBox="0 0 100 8", preserveAspectRatio="none", class_="share", aria_hidden="true")

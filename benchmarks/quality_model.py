"""How well the quality model tells texts from what stands around them, on real pages that it never saw.

    python benchmarks/quality_model.py --gold FOLDER... [--held-out held-out.parquet]

Each FOLDER holds pages with their main text: `ground-truth.json.gz` and `html/PAGE.html.gz` (article extraction
benchmark), or a folder a page with `source.html.gz` and `expected.html.gz` (readability). What a page says
beside its main text (menus, teasers, comments, shop and share boxes, notices) is the other text: both come from
the same site, so no site can be won by its style. `held-out.parquet` is what `mmedc fit model --name quality` left.
"""

import argparse
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from resiliparse.extract.html2text import extract_plain_text

from mmedc.filters import open_filters
from mmedc.fit.measured import array
from mmedc.policy import read_policy
from mmedc.steps.language import identifier
from mmedc.steps.score import scorer

SHORTEST = 150  # characters of both texts
OTHERS = ("de", "it", "pt", "ko")  # told apart, so that they count for none of the model's languages
LIMITS = (0.1, 0.3, 0.5)


def pages(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (main text, HTML) of the gold pages of a folder."""
    read = {path: gzip.decompress(path.read_bytes()).decode("utf-8", "replace") for path in folder.rglob("*.gz")}
    if (truth := folder / "ground-truth.json.gz") in read:
        for name, gold in json.loads(read[truth]).items():
            if html := read.get(folder / "html" / f"{name}.html.gz"):
                yield gold["articleBody"], html
    for path, html in sorted(read.items()):
        if path.name == "source.html.gz" and (expected := read.get(path.with_name("expected.html.gz"))):
            yield extract_plain_text(expected, main_content=False), html


def rest(main: str, html: str) -> str:
    """Return the lines of a page that are not in its main text."""
    inside = re.sub(r"\W+", "", main.lower())
    lines = extract_plain_text(html, main_content=False, alt_texts=False, list_bullets=False).splitlines()
    bare = [(re.sub(r"\W+", "", line.lower()), line.strip()) for line in lines]
    return "\n".join(line for letters, line in bare if letters and letters not in inside)


def auc(good: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return how often a good text scores above another one; a tie counts half."""
    above = (good[:, None] > other).mean() + (good[:, None] == other).mean() / 2
    return float(above)


def show(name: str, good: npt.NDArray[np.float64], other: npt.NDArray[np.float64], paired: bool) -> None:
    """Print one line: AUC, pairs, and what limits would drop of both."""
    pairs = f", above on {np.mean(good > other):.3f} of the pages" if paired else ""
    drops = "; ".join(f"below {at}: {np.mean(good < at):.3f} and {np.mean(other < at):.3f}" for at in LIMITS)
    print(f"{name}: {len(good)} and {len(other)}, AUC {auc(good, other):.3f}{pairs}; {drops}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gold", type=Path, nargs="+", required=True)
    parser.add_argument("--held-out", type=Path)
    given = parser.parse_args()
    model = open_filters().model("quality")
    score = scorer(model.path)
    identify = identifier(open_filters().model("lid").path, read_policy("balanced", (*model.languages, *OTHERS)))
    for folder in given.gold:
        both = [(main, rest(main, html)) for main, html in pages(folder)]
        both = [pair for pair in both if min(map(len, pair)) >= SHORTEST]
        texts = [pa.array(side, pa.large_string()) for side in zip(*both, strict=True)]
        langs = np.array(identify(texts[0])[0].to_pylist())
        good, other = (score(side, None).astype(float) for side in texts)
        for code in model.languages:
            if (these := langs == code).any():
                show(f"{folder.name} {code}", good[these], other[these], True)
    if given.held_out:
        table = pq.read_table(given.held_out)
        label, langs = table["label"].to_numpy(zero_copy_only=False), np.array(table["lang"].to_pylist())
        found = array(table, "quality")
        for code in model.languages:
            show(f"unseen origins {code}", found[label & (langs == code)], found[~label & (langs == code)], False)


if __name__ == "__main__":
    main()

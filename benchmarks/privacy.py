"""How well what identifies people is found: precision and recall by language and by kind, on the project's gold set.

    python benchmarks/privacy.py [--half tune|held] [--errors]

The gold set is `tests/privacy/LANG.tsv`: texts written for it, a half that the rules were tuned on (`tune`) and a half
written afterwards (`held`). A find counts when it covers all letters and digits of what is marked, and is of its kind.
"""

import argparse
import re
from collections import Counter
from pathlib import Path

from mmedc.policy import read_language
from mmedc.steps.privacy import finder

GOLD = Path(__file__).parent.parent / "tests" / "privacy"
MARK = re.compile(r"\{([A-Z]+)\|([^{}]+)\}")
NAME = "NAME"
Marked = tuple[int, int, str]


def read_gold(path: Path, half: str) -> list[tuple[str, list[Marked]]]:
    """Return the texts of a half and what is marked in each: (start, stop, kind)."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        of, marked = line.split("\t")
        if half not in ("all", of):
            continue
        text, spans, at = "", [], 0
        for match in MARK.finditer(marked):
            text += marked[at : match.start()]
            spans.append((len(text), len(text) + len(match[2]), match[1]))
            text += match[2]
            at = match.end()
        rows.append((text + marked[at:], spans))
    return rows


def judge(code: str, half: str) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Return counts of (kind, hit | missed | false) of a language, and the errors, a line each."""
    find = finder(read_language(code).privacy)
    counts: Counter[tuple[str, str]] = Counter()
    errors = []
    for text, spans in read_gold(GOLD / f"{code}.tsv", half):
        found = [(start, stop, placeholder.strip("<>")) for start, stop, placeholder in find(text)]
        for span in spans:
            hit = any(covers(text, other, span) for other in found)
            counts[span[2], "hit" if hit else "missed"] += 1
            if not hit:
                errors.append(f"{code} missed {span[2]} {text[span[0] : span[1]]}: {text}")
        for other in found:
            if not any(covers(text, other, span) for span in spans):
                counts[other[2], "false"] += 1
                errors.append(f"{code} false {other[2]} {text[other[0] : other[1]]}: {text}")
    return counts, errors


def covers(text: str, found: Marked, span: Marked) -> bool:
    """Return whether a find has all letters and digits of what is marked, none more than two beyond, and its kind."""
    if found[2] != span[2] or found[0] >= span[1] or found[1] <= span[0]:
        return False
    left = text[span[0] : found[0]] + text[found[1] : span[1]]
    beyond = text[found[0] : span[0]] + text[span[1] : found[1]]
    return not any(map(str.isalnum, left)) and sum(map(str.isalnum, beyond)) == 0


def rates(counts: Counter[tuple[str, str]], kinds: list[str]) -> tuple[int, float, float]:
    """Return (marked, precision, recall) over some kinds."""
    hit, missed, false = (sum(counts[kind, what] for kind in kinds) for what in ("hit", "missed", "false"))
    return hit + missed, hit / max(hit + false, 1), hit / max(hit + missed, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("tune", "held", "all"), default="all")
    parser.add_argument("--errors", action="store_true", help="show every miss and false find")
    given = parser.parse_args()
    total: Counter[tuple[str, str]] = Counter()
    every: list[str] = []
    print(
        "| language | marked | texts without | precision | recall | names | precision | recall |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    for path in sorted(GOLD.glob("*.tsv")):
        counts, errors = judge(path.stem, given.half)
        total += counts
        every += errors
        forms = [kind for kind in {kind for kind, _ in counts} if kind != NAME]
        without = sum(not spans for _, spans in read_gold(path, given.half))
        marked, precision, recall = rates(counts, forms)
        names, name_precision, name_recall = rates(counts, [NAME])
        shown = f"{marked} | {without} | {precision:.3f} | {recall:.3f}"
        print(f"| {path.stem} | {shown} | {names} | {name_precision:.3f} | {name_recall:.3f} |")
    print("\n| kind | marked | precision | recall | a false find |\n|---|--:|--:|--:|---|")
    for kind in sorted({kind for kind, _ in total}):
        marked, precision, recall = rates(total, [kind])
        example = next((error for error in every if f" false {kind} " in error), "")
        print(f"| {kind} | {marked} | {precision:.3f} | {recall:.3f} | {example.partition(': ')[2]} |")
    if given.errors:
        print("\n".join(["", *every]))


if __name__ == "__main__":
    main()

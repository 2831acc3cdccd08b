"""What the cascade loses and what it spares: ingest with and without its cheap looks, on the same pages.

python benchmarks/cascade_recall.py --warc FOLDER
"""

import argparse

from chains import CASCADE, ingest, recipe_of, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warc", required=True)
    given = parser.parse_args()
    recipe = recipe_of(given.warc)
    whole, wanted, slow = ingest(recipe, without=CASCADE)
    only_prefilter, after_prefilter, _ = ingest(recipe, without=("preview",))
    both, after_both, fast = ingest(recipe)
    print(f"without the cascade\n\n{table(whole)}\n\nwith it\n\n{table(both)}\n")
    for name, funnel, kept in (
        ("prefilter", only_prefilter, after_prefilter),
        ("prefilter and preview", both, after_both),
    ):
        lost = sorted(set(wanted) - set(kept))
        dropped = sum(sum(funnel[step].dropped.values()) for step in CASCADE if step in funnel)
        print(f"{name}: {dropped:,} pages spared; {len(lost)} of {len(wanted):,} lost ({len(lost) / len(wanted):.3%})")
        for locator in lost[:20]:
            print(f"  {locator}")
    read = next(iter(both.values())).read
    print(f"\n{read / slow:.0f} → {read / fast:.0f} documents/s on one core ({slow:.1f} s → {fast:.1f} s)")


if __name__ == "__main__":
    main()

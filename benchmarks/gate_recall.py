"""What the cascade loses and what it spares: gather with and without its cheap looks, on the same pages.

python benchmarks/gate_recall.py --warc FOLDER
"""

import argparse

from chains import CASCADE, gather, recipe_of, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warc", required=True)
    given = parser.parse_args()
    recipe = recipe_of(given.warc)
    whole, wanted, slow = gather(recipe, without=CASCADE)
    only_gate, after_gate, _ = gather(recipe, without=("glance",))
    both, after_both, fast = gather(recipe)
    print(f"without the cascade\n\n{table(whole)}\n\nwith it\n\n{table(both)}\n")
    for name, funnel, kept in (("gate", only_gate, after_gate), ("gate and glance", both, after_both)):
        lost = sorted(set(wanted) - set(kept))
        dropped = sum(sum(funnel[step].dropped.values()) for step in CASCADE if step in funnel)
        print(f"{name}: {dropped:,} pages spared; {len(lost)} of {len(wanted):,} lost ({len(lost) / len(wanted):.3%})")
        for locator in lost[:20]:
            print(f"  {locator}")
    read = next(iter(both.values())).read
    print(f"\n{read / slow:.0f} → {read / fast:.0f} documents/s on one core ({slow:.1f} s → {fast:.1f} s)")


if __name__ == "__main__":
    main()

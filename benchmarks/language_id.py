"""How often the language of a labelled text is found, per language, and at what rate.

    python benchmarks/language_id.py --data FOLDER

FOLDER has labelled sets (text, lang) as in `medical_filter.py`. Sentences are judged too: the shortest texts. The
rate is that of one core over all texts in batches of 500.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.filters import open_filters
from mmedc.fit.labelled import read_labelled
from mmedc.policy import read_policy
from mmedc.steps.language import identifier

BATCH = 500
SIX = ("en", "zh", "ja", "fr", "ru", "es")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    for kinds, what in ((("text", "book"), "texts"), (("sent",), "sentences")):
        table = read_labelled([f"{data}/{kind}_*/*.jsonl.gz" for kind in kinds])
        codes = tuple(sorted(set(table["lang"].to_pylist())))
        identify = identifier(open_filters().model("lid").path, read_policy("balanced", codes))
        texts = table["text"].combine_chunks()
        began = time.process_time()
        found = pa.concat_arrays([identify(texts.slice(at, BATCH))[0] for at in range(0, len(texts), BATCH)])
        rate = len(texts) / (time.process_time() - began)
        right = pc.equal(found, table["lang"].combine_chunks()).to_numpy(zero_copy_only=False)
        langs = np.array(table["lang"].to_pylist())
        accuracy = {code: float(right[langs == code].mean()) for code in codes}
        length = pc.mean(pc.utf8_length(texts)).as_py()
        print(f"{what}: {len(texts):,}, mean {length:.0f} characters, {rate:,.0f} a second of a core")
        print("  " + "  ".join(f"{code} {share:.4f}" for code, share in accuracy.items()))
        print(f"  macro of {len(codes)}: {np.mean(list(accuracy.values())):.4f}", end="")
        print(f"; of en zh ja fr ru es: {np.mean([accuracy[code] for code in SIX]):.4f}")


if __name__ == "__main__":
    main()

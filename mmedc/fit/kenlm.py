"""Trains the models of `mmedc.steps.perplexity`: pieces and a 5-gram model of one language, from clean text."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmedc.errors import ModelMissing, RequestError, WorkError
from mmedc.steps.perplexity import lines_of, measurer

ORDER = 5
PIECES = 16_000
HELD_OUT = 10
"""One text of this many is not trained on, and determines the cutoffs."""
SAMPLE_LINES = 1_000_000
"""At most this many lines determine the pieces."""


def fit_kenlm(
    table: pa.Table, code: str, folder: Path, pieces: int = PIECES, tools: str | None = None
) -> dict[str, Any]:
    """Train on the texts of `table` and write `CODE.sp.model`, `CODE.bin` and `CODE.json` into `folder`.

    Returns the content of `CODE.json`. `tools` is the folder of lmplz and build_binary; by default the PATH.

    Raises: ModelMissing without the tools or the Python packages, saying how to get them; RequestError for
    too little text; WorkError when a tool fails.
    """
    lmplz, build_binary = (find_tool(name, tools) for name in ("lmplz", "build_binary"))
    try:
        import sentencepiece
    except ImportError:
        raise ModelMissing("sentencepiece is not installed: `pip install 'mmedc[lm]'`") from None
    texts = table["text"].to_pylist()
    if len(texts) < 2 * HELD_OUT:
        raise RequestError(f"{code}: {len(texts)} texts; expected at least {2 * HELD_OUT}, better thousands")
    training = [line for index, text in enumerate(texts) if index % HELD_OUT for line in lines_of(text)]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(training), model_prefix=str(folder / f"{code}.sp"), vocab_size=pieces,
                input_sentence_size=SAMPLE_LINES, hard_vocab_limit=False, character_coverage=0.9998, num_threads=1,
                max_sentence_length=1 << 16, minloglevel=2,
            )  # fmt: skip
        except RuntimeError as problem:
            too_few = "required_chars" in str(problem)
            hint = "more pieces, because each character is one" if too_few else "fewer pieces, or give more text"
            raise RequestError(f"{code}: {pieces} pieces don't fit this text ({problem}); ask for {hint}") from None
        (folder / f"{code}.sp.vocab").unlink(missing_ok=True)
        cutter = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{code}.sp.model"))
        corpus, arpa = Path(work) / "pieces.txt", Path(work) / "model.arpa"
        with corpus.open("w", encoding="utf-8") as out:
            out.writelines(" ".join(cutter.encode(line, out_type=str)) + "\n" for line in training)
        with corpus.open("rb") as lines, arpa.open("wb") as out_arpa:
            # In few texts no n-gram occurs, say, three times; the discounts then fall back to usual values.
            _run([lmplz, "-o", str(ORDER), "-S", "20%", "-T", work, "--discount_fallback"], lines, out_arpa)
        _run([build_binary, "-q", "8", "-b", "8", "trie", str(arpa), str(folder / f"{code}.bin")])
    measure = measurer(str(folder), code)
    found = np.array([measure(text) for text in texts[::HELD_OUT]])
    cuts = [round(float(cut), 2) for cut in np.nanquantile(found, (1 / 3, 2 / 3))]
    made = {
        "cutoffs": cuts,
        "order": ORDER,
        "pieces": cutter.get_piece_size(),
        "texts": len(texts),
        "lines": len(training),
    }
    (folder / f"{code}.json").write_text(json.dumps(made) + "\n", encoding="utf-8")
    return made


def find_tool(name: str, folder: str | None = None) -> str:
    """Return the path of a tool of KenLM. Raises: ModelMissing, saying how to build it."""
    found = shutil.which(name, path=folder)
    if found is None:
        raise ModelMissing(
            f"{name}, which trains KenLM models, is not {'in ' + folder if folder else 'on the PATH'}; "
            "build it as docs/how-to/fitting.md describes, then name its folder by --tools"
        )
    return found


def _run(command: list[str], stdin: Any = None, stdout: Any = subprocess.DEVNULL) -> None:
    done = subprocess.run(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise WorkError(f"{command[0]} failed ({done.returncode}): {message[-1] if message else 'no message'}")

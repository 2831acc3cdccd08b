"""KenLM models: what is trained measures, and says what lacks."""

import sys
from pathlib import Path

import pyarrow as pa
import pytest

from mmedc.errors import ModelMissing, PolicyError, RequestError
from mmedc.fit.kenlm import fit_kenlm
from mmedc.policy import read_policy
from mmedc.steps.perplexity import Perplexity
from tests.test_fit import table

LMPLZ = """#!{python}
import sys, math, collections
counts = collections.Counter(piece for line in sys.stdin for piece in line.split())
total = sum(counts.values()) + 100
print("\\\\data\\\\\\nngram 1=%d\\nngram 2=1\\n\\n\\\\1-grams:" % (len(counts) + 3))
for word, number in [("<unk>", 1), ("<s>", 50), ("</s>", 50), *sorted(counts.items())]:
    print("%f\\t%s%s" % (math.log10(number / total), word, "" if word == "</s>" else "\\t-0.1"))
print("\\n\\\\2-grams:\\n-0.3\\t<s> %s" % max(counts, key=counts.get))
print("\\n\\\\end\\\\")
"""
"""Stands for the real tool: single pieces and one pair."""


def test_perplexity_is_low_for_text_like_the_training_s(tmp_path: Path) -> None:
    pytest.importorskip("kenlm")
    pytest.importorskip("sentencepiece")
    for name, script in (("lmplz", LMPLZ.format(python=sys.executable)), ("build_binary", '#!/bin/sh\ncp "$6" "$7"\n')):
        (tmp_path / name).write_text(script, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    texts = [
        f"The patient has fever and cough on day {number}.\nThe doctor examines the patient." for number in range(40)
    ]
    clean = table([("en", text, True) for text in texts])
    made = fit_kenlm(clean, "en", tmp_path / "lm", 40, str(tmp_path))
    assert made["texts"] == 40 and made["cutoffs"][0] <= made["cutoffs"][1]
    step = Perplexity(str(tmp_path / "lm"), read_policy("mmedc", ("en", "zh")))
    rows = {"ordinal": [0, 1, 2], "lang": ["en", "en", "zh"], "dropped_by": pa.nulls(3, pa.string())}
    strange = "Zzz qqq xxx kkk www jjj 12 34 56"
    batch = pa.RecordBatch.from_pydict({**rows, "text": pa.array([texts[0], strange, "患者"], pa.large_string())})
    scored = step.open()(batch)
    low, high, none = scored.column("perplexity").to_pylist()
    assert 1 < low < high and none is None
    assert scored.column("bucket").to_pylist()[1:] == ["tail", None]
    assert step.digest() == Perplexity(str(tmp_path / "lm"), read_policy("mmedc", ("en", "zh"))).digest()
    with pytest.raises(ModelMissing, match=r"no LANG\.bin"):
        Perplexity(str(tmp_path), read_policy("mmedc", ("en",))).digest()
    with pytest.raises(RequestError, match="at least 20"):
        fit_kenlm(clean.slice(0, 5), "en", tmp_path / "few", 40, str(tmp_path))
    (tmp_path / "lm" / "en.bin").write_bytes(b"damaged")
    with pytest.raises(PolicyError, match=r"en\.bin: not a KenLM model"):
        step.open()

"""Which language a text is in: fastText's lid.176 on a slice, corrected by the script it is written in."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import set_column
from mmedc.engine.chain import Transform
from mmedc.limits import drop_below_floor
from mmedc.policy import Policy
from mmedc.words import LETTER, TextBatch, sums

SLICE_CHARS = 1_000  # .9997 right on medical text, as on whole documents, three times faster
CANDIDATES = 3
# Text of Han characters is Japanese from this share of Kana on. Japanese prose has about half;
# Chinese pages that name a Japanese product have a few per mille.
KANA_SHARE = 0.05
CJK_SHARE = 0.3  # of the letters, from which the script decides


@dataclass(frozen=True)
class Language:
    """Sets `lang` and `lang_score`. Dropped: `other_language`, `lang_score_low`."""

    model: str
    """Path of lid.176.ftz; the driver found and checked it."""
    policy: Policy
    name: ClassVar[str] = "language"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform; loads the model."""
        identify = identifier(self.model, self.policy)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            langs, scores = identify(batch.column("text"))
            batch = set_column(batch, "lang", langs)
            batch = set_column(batch, "lang_score", scores)
            batch = drop_below_floor(batch, self.policy, ("lang_score",))
            other = pc.invert(pc.is_in(langs, pa.array(list(self.policy.languages))))
            return set_column(batch, "dropped_by", pc.if_else(other, "other_language", batch.column("dropped_by")))

        return transform


def identifier(model: str, policy: Policy) -> Any:
    """Return a function from an Arrow array of texts to their (languages, probabilities).

    Languages that the policy folds into another are counted as that one.
    """
    import fasttext

    fasttext.FastText.eprint = lambda *_: None  # its loader prints a warning that warns of nothing
    loaded = fasttext.load_model(model)
    folds = {fold: code for code, language in policy.languages.items() for fold in language.folds}

    def identify(texts: Any) -> tuple[pa.Array, pa.Array]:
        heads = pc.utf8_slice_codeunits(texts, 0, SLICE_CHARS)
        lines = pc.replace_substring(heads, "\n", " ").to_pylist()
        labels, probabilities = loaded.predict(lines, k=CANDIDATES)
        langs, scores = [], []
        for names, numbers in zip(labels, probabilities, strict=True):
            total: dict[str, float] = {}
            for name, number in zip(names, numbers, strict=True):
                code = name.removeprefix("__label__")
                code = folds.get(code, code)
                total[code] = total.get(code, 0.0) + float(number)
            best = max(total, key=lambda code: total[code]) if total else "und"
            langs.append(best)
            scores.append(min(total.get(best, 0.0), 1.0))
        han, kana = _cjk_shares(heads)
        for index in np.flatnonzero(han + kana >= CJK_SHARE):
            # Short text in Han characters alone is the model's weak spot: one in ten goes wrong.
            share_of_kana = kana[index] / (han[index] + kana[index])
            code = "ja" if share_of_kana >= KANA_SHARE else "zh"
            if langs[index] != code:
                langs[index], scores[index] = code, float(han[index] + kana[index])
            else:
                scores[index] = max(scores[index], float(han[index] + kana[index]))
        return pa.array(langs, pa.string()), pa.array(scores, pa.float32())

    return identify


def _cjk_shares(texts: Any) -> tuple[Any, Any]:
    """Return the shares of Han and of Kana among the letters of each text, (D,) each.

    Text with Hangul has neither: Korean writes some words in Han characters.
    """
    batch = TextBatch(texts)
    codes = batch.codes
    letters = np.maximum(batch.count((batch.classes & LETTER) != 0), 1)
    kana = sums((codes >= 0x3041) & (codes <= 0x30FF) & (codes != 0x30FB), batch.offsets)
    han = sums(((codes >= 0x3400) & (codes <= 0x9FFF)) | ((codes >= 0x20000) & (codes <= 0x3FFFF)), batch.offsets)
    hangul = sums((codes >= 0xAC00) & (codes <= 0xD7AF), batch.offsets)
    none = hangul > (han + kana)
    return np.where(none, 0, han) / letters, np.where(none, 0, kana) / letters

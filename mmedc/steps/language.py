"""Language identification: fastText's lid.176 on pieces of a text, corrected by the script of the text.

Three pieces, from the beginning, middle and end, are as reliable as the whole text, and an English menu at the top of
a Japanese page does not mislead them. If the result is uncertain, more of the text is read. If it is still uncertain,
as for pages in two languages, each line is judged on its own, and the page gets the language of most characters.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import set_column
from mmedc.engine.chain import Transform
from mmedc.errors import RequestError
from mmedc.filters import Filters
from mmedc.folding import plain
from mmedc.limits import drop_below_floor
from mmedc.models import Model
from mmedc.policy import Policy
from mmedc.steps.relatives import LEAD, family_of, of_han, told_apart
from mmedc.words import LETTER, TextBatch, sums

PIECE_CHARS = 60
FEW, MANY = (
    3,
    15,
)  # pieces read at first, and if uncertain; 3 are as often right as the whole text, at a fifth of the cost
RELATIVES, RELATIVE_CHARS = 0.95, 300  # probability below which close relatives are told apart, and of how much text
DOUBTFUL = 0.6  # probability below which a text may be in a relative of the second or third candidate
UNSURE = 0.75  # probability below which a single word tells them apart
SURE = 0.8  # probability below which the language is uncertain
LINES, LINE_CHARS = 50, 20  # lines judged of a page in two languages, and their least length: shorter ones say nothing
CANDIDATES = 3
# Text in Han characters with at least this share of Kana is Japanese. In Japanese prose the share is about
# half; in Chinese pages that name a Japanese product it is a few per mille.
KANA_SHARE = 0.05
CJK_SHARE = 0.3  # share of the letters from which on the script decides


LABEL = "__label__"
"""What stands before a code in the names that the model gives."""

CAPITAL = re.compile("[A-ZÀ-ÖØ-ÞА-ЯЁ]")
CAPITALS = 0.4  # share of capitals above which a text counts as written in capitals


@dataclass(frozen=True)
class Language:
    """Sets `lang` and `lang_score`. Dropped: `other_language`, `lang_score_low`."""

    model: Model
    """Path of lid.176.ftz; the driver found and checked it."""
    policy: Policy
    name: ClassVar[str] = "language"
    version: ClassVar[int] = 4

    def open(self) -> Transform:
        """Return the transform; loads the model."""
        identify = identifier(self.model.path, self.policy)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            langs, scores = identify(batch.column("text"))
            batch = set_column(batch, "lang", langs)
            batch = set_column(batch, "lang_score", scores)
            batch = drop_below_floor(batch, self.policy, ("lang_score",))
            other = pc.invert(pc.is_in(langs, pa.array(list(self.policy.languages))))
            return set_column(batch, "dropped_by", pc.if_else(other, "other_language", batch.column("dropped_by")))

        return transform


def unidentified(filters: Filters, code: str) -> list[str]:
    """Return, as a line, that the identification model knows neither language `code` nor its `folds`, so none is found.

    Nothing where the model is not on this machine, or where the language has no folder.
    """
    try:
        codes = {code, *filters.facts(code).folds}
        known = _load(filters.model("lid").path).get_labels()
    except RequestError:
        return []
    if codes & {label.removeprefix(LABEL) for label in known}:
        return []
    return [
        f"{filters.find(f'{code}/language.yaml')}: the identification model knows no language "
        f"{' or '.join(sorted(codes))}, so no document will have it; name its codes for such texts in `folds`"
    ]


def _load(model: str) -> Any:
    import fasttext

    fasttext.FastText.eprint = lambda *_: None  # its loader prints a warning that warns of nothing
    return fasttext.load_model(model)


def identifier(model: str, policy: Policy) -> Any:
    """Return a function from an Arrow array of texts to their (languages, probabilities).

    Languages that the policy folds into another are counted as that one.
    """
    loaded = _load(model)
    folds = {fold: code for code, language in policy.languages.items() for fold in language.folds}

    def judge(texts: list[str]) -> tuple[list[str], list[float]]:
        texts = [_as_written(text) for text in texts]
        labels, probabilities = loaded.predict(texts, k=CANDIDATES)
        langs, scores = [], []
        for names, numbers in zip(labels, probabilities, strict=True):
            total: dict[str, float] = {}
            for name, number in zip(names, numbers, strict=True):
                code = name.removeprefix(LABEL)
                code = folds.get(code, code)
                total[code] = total.get(code, 0.0) + float(number)
            best = max(total, key=lambda code: total[code]) if total else "und"
            langs.append(best)
            scores.append(min(total.get(best, 0.0), 1.0))
            family = family_of(best) or (scores[-1] < DOUBTFUL and next(filter(None, map(family_of, total)), ()))
            if family and scores[-1] < RELATIVES:
                first, lead = told_apart(texts[len(langs) - 1][:RELATIVE_CHARS], family)
                if lead >= (LEAD if scores[-1] >= UNSURE or first == best or best not in family else 1):
                    langs[-1], scores[-1] = folds.get(first, first), max(scores[-1], SURE)
        han, kana = _cjk_shares(pa.array(texts, pa.large_string()))
        for index in np.flatnonzero(han + kana >= CJK_SHARE):
            # The model is weak on short text in Han characters alone: it gets one in ten wrong.
            share_of_kana = kana[index] / (han[index] + kana[index])
            code = "ja" if share_of_kana >= KANA_SHARE else of_han(texts[index])
            code = folds.get(code, code)
            if langs[index] != code:
                langs[index], scores[index] = code, float(han[index] + kana[index])
            else:
                scores[index] = max(scores[index], float(han[index] + kana[index]))
        return langs, scores

    def by_line(text: str) -> tuple[str, float]:
        """Return the language of most characters, and its share of them by the model's probabilities."""
        lines = [line[: MANY * PIECE_CHARS] for line in text.split("\n") if len(line) >= LINE_CHARS]
        lines = lines[:: max(len(lines) // LINES, 1)] or [text[: MANY * PIECE_CHARS]]
        shares: dict[str, float] = defaultdict(float)
        for line, lang, score in zip(lines, *judge(lines), strict=True):
            shares[lang] += score * len(line)
        best = max(shares, key=lambda lang: shares[lang])
        return best, shares[best] / sum(map(len, lines))

    def identify(texts: Any) -> tuple[pa.Array, pa.Array]:
        whole = texts.to_pylist()
        langs, scores = judge([pieces(text, FEW) for text in whole])
        unsure = [index for index, score in enumerate(scores) if score < SURE]
        if unsure:
            for index, lang, score in zip(
                unsure, *judge([pieces(whole[index], MANY) for index in unsure]), strict=True
            ):
                langs[index], scores[index] = lang, score
        for index in unsure:
            if scores[index] < SURE and "\n" in whole[index]:
                langs[index], scores[index] = by_line(whole[index])
        return pa.array(langs, pa.string()), pa.array(scores, pa.float32())

    return identify


def _as_written(text: str) -> str:
    """Return a text as the model expects it: folded, on one line, and not in capitals.

    Package inserts and warnings are written in capitals, and the model was trained on few such texts.
    """
    text = plain(text).replace("\n", " ")
    return text.lower() if len(CAPITAL.findall(text)) > CAPITALS * len(text) else text


def pieces(text: str, number: int) -> str:
    """Return `number` pieces of a text, evenly spaced from beginning to end; the whole text if it is shorter."""
    if len(text) <= number * PIECE_CHARS:
        return text
    step = (len(text) - PIECE_CHARS) / (number - 1)
    starts = (round(index * step) for index in range(number))
    return " ".join(text[start : start + PIECE_CHARS] for start in starts)


def _cjk_shares(texts: Any) -> tuple[Any, Any]:
    """Return the shares of Han and of Kana among the letters of each text, (D,) each.

    Both are 0 for text with Hangul, because Korean writes some words in Han characters.
    """
    batch = TextBatch(texts)
    codes = batch.codes
    letters = np.maximum(batch.count((batch.classes & LETTER) != 0), 1)
    kana = sums((codes >= 0x3041) & (codes <= 0x30FF) & (codes != 0x30FB), batch.offsets)
    han = sums(((codes >= 0x3400) & (codes <= 0x9FFF)) | ((codes >= 0x20000) & (codes <= 0x3FFFF)), batch.offsets)
    hangul = sums((codes >= 0xAC00) & (codes <= 0xD7AF), batch.offsets)
    none = hangul > (han + kana)
    return np.where(none, 0, han) / letters, np.where(none, 0, kana) / letters

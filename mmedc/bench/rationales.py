"""The similarity of rationales to those of people, by language: BLEU, ROUGE and, with any encoder, BERTScore.

Words are the international tokens of sacrebleu in scripts with spaces, those of jieba's dictionary in Chinese, and
those of janome in Japanese, as in the paper's script. Every figure is the mean over items of a score in [0, 1].
"""

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmedc.errors import RecipeError

FLOOR = 0.1
"""An order without any match counts as so many matches (smoothing 1 of Chen and Cherry 2014)."""
ORDERS = (1, 2, 3, 4)
_ANSWER = re.compile(r"#+\s*answer\s*:?.*", re.IGNORECASE | re.DOTALL)
_RATIONALE = re.compile(r"^\s*#+\s*rationale\s*:?\s*", re.IGNORECASE)


def rationale_of(output: str) -> str:
    """Return the rationale in an answer of the paper's form: the text before `###Answer`, or the whole text."""
    return _RATIONALE.sub("", _ANSWER.sub("", output)).strip()


def words(text: str, lang: str) -> list[str]:
    """Return the words of a text, cut as is usual in its language."""
    return [word for word in _cutter(lang)(text) if word.strip()]


def ready(languages: set[str]) -> None:
    """Load what cuts words in these languages. Raises: RecipeError when it is not installed."""
    for lang in languages:
        words("", lang)


@functools.cache
def _cutter(lang: str) -> Callable[[str], list[str]]:
    try:
        if lang == "zh":
            import rjieba

            return lambda text: list(rjieba.cut(text))
        if lang == "ja":
            from janome.tokenizer import Tokenizer

            japanese = Tokenizer(wakati=True)
            return lambda text: list(japanese.tokenize(text))
        from sacrebleu.tokenizers.tokenizer_intl import TokenizerV14International
    except ImportError as problem:
        raise RecipeError(f"comparing rationales needs `pip install 'mmedc[rationales]'` ({problem})") from None
    spaced = TokenizerV14International()
    return lambda text: str(spaced(text)).split()


def bleu(found: list[str], gold: list[str]) -> list[float]:
    """Return BLEU-1 to BLEU-4 of a rationale's words, with equal weights up to each order and a brevity penalty."""
    from sacrebleu.metrics.bleu import BLEU

    scores = []
    for order in ORDERS:
        metric = BLEU(max_ngram_order=order, tokenize="none", force=True, smooth_method="floor", smooth_value=FLOOR)
        scores.append(metric.corpus_score([" ".join(found)], [[" ".join(gold)]]).score / 100)
    return scores


class _Words:
    """Cuts words, in the form that rouge-score expects."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def tokenize(self, text: str) -> list[str]:
        return [word.casefold() for word in words(text, self.lang) if re.search(r"\w", word)]


def rouge(found: str, gold: str, lang: str) -> dict[str, float]:
    """Return F1 of ROUGE-1, ROUGE-2 and ROUGE-L, over words without punctuation and in lower case."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=_Words(lang))
    return {name: float(score.fmeasure) for name, score in scorer.score(gold, found).items()}


def alike(pairs: list[tuple[str, str, str]], encoder: str = "", layer: int = -1) -> dict[str, dict[str, Any]]:
    """Return the similarities of (language, rationale, gold) by language, and the number of pairs.

    `encoder`: a Hugging Face folder whose hidden states of `layer` give BERTScore.
    """
    rows: dict[str, list[dict[str, float]]] = {}
    for lang, found, gold in pairs:
        orders = bleu(words(found, lang), words(gold, lang))
        row = {f"bleu{order}": value for order, value in zip(ORDERS, orders, strict=True)}
        rows.setdefault(lang, []).append(row | rouge(found, gold, lang))
    for lang in rows if encoder else ():
        own = [(found, gold) for of, found, gold in pairs if of == lang]
        for row, value in zip(rows[lang], bert_scores(own, encoder, layer), strict=True):
            row["bertscore"] = value
    return {
        lang: {"items": len(own), **{name: float(np.mean([row[name] for row in own])) for name in own[0]}}
        for lang, own in sorted(rows.items())
    }


def bert_scores(pairs: list[tuple[str, str]], folder: str, layer: int = -1, batch: int = 16) -> Iterator[float]:
    """Yield BERTScore F1 of (rationale, gold): token vectors matched greedily by cosine, no idf (Zhang et al. 2020).

    Raises: RecipeError when `folder` holds no encoder.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    if not Path(folder, "config.json").is_file():
        raise RecipeError(f"bench.encoder: {folder} holds no config.json; expected a Hugging Face folder")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    most = min(512, getattr(model.config, "max_position_embeddings", 512))

    def vectors(texts: list[str]) -> list[Any]:
        options = {"padding": True, "truncation": True, "max_length": most, "split_special_tokens": True}
        made = tokenizer(texts, return_tensors="pt", **options)
        with torch.inference_mode():
            inputs = {name: made[name] for name in ("input_ids", "attention_mask")}
            hidden = model(**inputs, output_hidden_states=True).hidden_states[layer]
        kept = made["attention_mask"].bool()
        for special in tokenizer.all_special_ids:
            kept &= made["input_ids"] != special
        return [torch.nn.functional.normalize(state[keep], dim=-1) for state, keep in zip(hidden, kept, strict=True)]

    for low in range(0, len(pairs), batch):
        part = pairs[low : low + batch]
        sides = vectors([found for found, _ in part]), vectors([gold for _, gold in part])
        for found, gold in zip(*sides, strict=True):
            if not len(found) or not len(gold):
                yield 0.0
                continue
            close = found @ gold.T
            precision, recall = float(close.amax(1).mean()), float(close.amax(0).mean())
            yield 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0

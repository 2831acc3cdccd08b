"""How alike rationales are to those of people: BLEU, ROUGE and, with any encoder, BERTScore; by language.

Words: sacrebleu's international tokens in spaced scripts; in Chinese those of jieba's dictionary, in Japanese those
of janome, as in the paper's script. Every figure is the mean over items of a score in [0, 1].
"""

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmedc.errors import RecipeError

FLOOR = 0.1
"""Matches that an order without any counts as (smoothing 1 of Chen and Cherry 2014)."""
ORDERS = (1, 2, 3, 4)
_ANSWER = re.compile(r"#+\s*answer\s*:?.*", re.IGNORECASE | re.DOTALL)
_RATIONALE = re.compile(r"^\s*#+\s*rationale\s*:?\s*", re.IGNORECASE)


def rationale_of(output: str) -> str:
    """Return the rationale in an answer of the paper's form: what comes before `###Answer`, or all of it."""
    return _RATIONALE.sub("", _ANSWER.sub("", output)).strip()


def words(text: str, lang: str) -> list[str]:
    """Return the words of a text, by the way of its language."""
    return [word for word in _cutter(lang)(text) if word.strip()]


def ready(languages: set[str]) -> None:
    """Open what compares rationales in these languages. Raises: RecipeError when it is not installed."""
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
        raise RecipeError(f"rationales are compared with `pip install 'mmedc[rationales]'` ({problem})") from None
    spaced = TokenizerV14International()
    return lambda text: str(spaced(text)).split()


def bleu(said: list[str], gold: list[str]) -> list[float]:
    """Return BLEU-1 to BLEU-4 of one rationale's words: n-grams up to each order, of equal weight, brevity penalty."""
    from sacrebleu.metrics.bleu import BLEU

    found = []
    for order in ORDERS:
        metric = BLEU(max_ngram_order=order, tokenize="none", force=True, smooth_method="floor", smooth_value=FLOOR)
        found.append(metric.corpus_score([" ".join(said)], [[" ".join(gold)]]).score / 100)
    return found


class _Words:
    """What rouge-score asks for words."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def tokenize(self, text: str) -> list[str]:
        return [word.casefold() for word in words(text, self.lang) if re.search(r"\w", word)]


def rouge(said: str, gold: str, lang: str) -> dict[str, float]:
    """Return F of ROUGE-1, ROUGE-2 and ROUGE-L, over words without punctuation and case."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=_Words(lang))
    return {name: float(found.fmeasure) for name, found in scorer.score(gold, said).items()}


def alike(pairs: list[tuple[str, str, str]], encoder: str = "", layer: int = -1) -> dict[str, dict[str, Any]]:
    """Return by language what (language, said, gold) have in common, and how many pairs there are.

    `encoder`: a Hugging Face folder, for BERTScore by its hidden states of `layer`.
    """
    rows: dict[str, list[dict[str, float]]] = {}
    for lang, said, gold in pairs:
        orders = bleu(words(said, lang), words(gold, lang))
        row = {f"bleu{order}": value for order, value in zip(ORDERS, orders, strict=True)}
        rows.setdefault(lang, []).append(row | rouge(said, gold, lang))
    for lang in rows if encoder else ():
        mine = [(said, gold) for of, said, gold in pairs if of == lang]
        for row, value in zip(rows[lang], bert_scores(mine, encoder, layer), strict=True):
            row["bertscore"] = value
    return {
        lang: {"items": len(found), **{name: float(np.mean([row[name] for row in found])) for name in found[0]}}
        for lang, found in sorted(rows.items())
    }


def bert_scores(pairs: list[tuple[str, str]], folder: str, layer: int = -1, batch: int = 16) -> Iterator[float]:
    """Yield BERTScore F1 of (said, gold): greedy matching of token vectors by cosine, without idf (Zhang et al. 2020).

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
        made = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=most)
        with torch.inference_mode():
            inputs = {name: made[name] for name in ("input_ids", "attention_mask")}
            hidden = model(**inputs, output_hidden_states=True).hidden_states[layer]
        kept = made["attention_mask"].bool()
        for special in tokenizer.all_special_ids:
            kept &= made["input_ids"] != special
        return [torch.nn.functional.normalize(state[keep], dim=-1) for state, keep in zip(hidden, kept, strict=True)]

    for low in range(0, len(pairs), batch):
        part = pairs[low : low + batch]
        sides = vectors([said for said, _ in part]), vectors([gold for _, gold in part])
        for said, gold in zip(*sides, strict=True):
            if not len(said) or not len(gold):
                yield 0.0
                continue
            close = said @ gold.T
            precision, recall = float(close.amax(1).mean()), float(close.amax(0).mean())
            yield 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0

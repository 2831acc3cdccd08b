"""The peer's side for texts: one Data-Juicer filter that does what mmedc's language and medical steps decide.

Loaded by `dj-process` through `custom_operator_paths`; run in Data-Juicer's own environment.
"""

import fasttext
from data_juicer.ops.base_op import OPERATORS, Filter
from data_juicer.utils.constant import Fields
from datatrove_pipeline import MedicalRule


class _Document:
    """What the medical rule asks for."""

    def __init__(self, text: str, lang: str) -> None:
        self.text, self.metadata = text, {"language": lang}


@OPERATORS.register_module("medical_filter")
class MedicalFilter(Filter):
    """Keeps texts of one of the six languages, surely, that hold enough medical terms."""

    _batched_op = True

    def __init__(self, lid: str = "", terms: str = "", *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.lid, self.terms = lid, terms
        self._loaded = None

    def compute_stats_batched(self, samples):
        """Write the verdict into each sample's stats."""
        if self._loaded is None:
            self._loaded = fasttext.load_model(self.lid), MedicalRule(self.terms)
        model, keep = self._loaded
        for text, stat in zip(samples[self.text_key], samples[Fields.stats], strict=True):
            labels, scores = model.predict(text.replace("\n", " "))
            lang = labels[0].removeprefix("__label__") if labels else ""
            mine = lang in ("en", "zh", "ja", "fr", "ru", "es") and scores[0] >= 0.65
            stat["medical"] = 1.0 if mine and keep(_Document(text, lang)) else 0.0
        return samples

    def process_batched(self, samples):
        """Return the verdicts."""
        return (stat["medical"] > 0 for stat in samples[Fields.stats])

    def __getstate__(self):
        return self.__dict__ | {"_loaded": None}

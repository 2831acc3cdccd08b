"""What the paper and its repository publish of MMedC and of MMedBench, for comparison with one's own."""

PAPER = "Qiu et al. 2024, Towards building multilingual language model for medicine, Nature Communications 15:8384"
MMEDC_KINDS = ("filtered web", "textbooks", "websites", "small sets")
MMEDC: dict[str, tuple[float, ...]] = {
    "en": (6.56, 4.00, 0.00, 0.00, 10.56),
    "es": (3.98, 0.31, 0.05, 0.02, 4.35),
    "fr": (1.90, 0.02, 0.00, 0.17, 2.10),
    "ru": (1.29, 0.40, 0.00, 0.00, 1.69),
    "zh": (3.34, 1.21, 0.00, 0.19, 4.74),
    "ja": (1.93, 0.00, 0.10, 0.01, 2.05),
}
"""Tokens of MMedC in billions, by language: each of MMEDC_KINDS, then their total (the paper, and the card of the data
set Henrychur/MMedC). The 4 billion of English textbooks are counted, but not released."""
LANGUAGES = ("en", "zh", "ja", "fr", "ru", "es")
ITEMS = {"en": 1_273, "zh": 3_426, "ja": 199, "fr": 622, "ru": 256, "es": 2_742}
"""The test questions of MMedBench in each language, by which a scoring of the same questions is recognised."""
PUBLISHED = {
    "GPT-4": (78.00, 75.07, 72.91, 56.59, 83.62, 85.67, 74.27),
    "GPT-3.5": (56.88, 52.29, 34.63, 32.48, 66.36, 66.06, 51.47),
    "Gemini-1.0 pro": (53.73, 60.19, 44.22, 29.90, 73.44, 69.69, 55.20),
    "BLOOMZ": (43.28, 58.06, 32.66, 26.37, 62.89, 47.34, 45.10),
    "InternLM": (44.07, 64.62, 37.19, 24.92, 58.20, 44.97, 45.67),
    "Llama 2": (43.36, 50.29, 25.13, 20.90, 66.80, 47.10, 42.26),
    "MedAlpaca": (46.74, 44.80, 29.64, 21.06, 59.38, 45.00, 41.11),
    "ChatDoctor": (43.52, 43.26, 25.63, 18.81, 62.50, 43.44, 39.53),
    "PMC-LLaMA": (47.53, 42.44, 24.12, 20.74, 62.11, 43.29, 40.04),
    "Mistral": (61.74, 71.10, 44.72, 48.71, 74.22, 63.86, 60.73),
    "Meditron": (55.46, 61.88, 40.20, 35.05, 67.58, 53.28, 52.24),
    "InternLM 2 7B": (57.27, 77.55, 47.74, 41.00, 68.36, 59.59, 58.59),
    "BioMistral": (57.82, 71.54, 37.19, 47.27, 69.92, 60.98, 57.45),
    "Llama 3 8B": (63.86, 78.23, 48.24, 50.80, 71.48, 64.15, 62.79),
    "MMedLM": (49.88, 70.49, 46.23, 36.66, 72.27, 54.52, 55.01),
    "MMedLM 2": (61.74, 80.01, 61.81, 52.09, 80.47, 67.65, 67.30),
    "MMed-Llama 3 8B": (66.06, 79.25, 61.81, 55.63, 75.39, 68.38, 67.75),
    "MMed-Llama 3.1 70B": (80.60, 87.71, 76.88, 73.47, 82.03, 82.35, 80.51),
}
"""Accuracies in per cent, by language in the order above, then their mean (Qiu et al. 2024, table 2, and the README of
MAGIC-AI4Med/MMedLM). The models were fine-tuned and generated answers, or were queried over an API, so the protocol
differs from ours."""
SHOWN = ("MMed-Llama 3 8B", "GPT-4", "Llama 3 8B", "MMedLM 2", "MMed-Llama 3.1 70B")
"""The models that tables show, the most wanted first; `published.json` in `--out` has all of them."""
ENGLISH = {
    "MedQA": 65.4, "MedMCQA": 63.5, "PubMedQA": 80.1, "clinical_knowledge": 71.3, "medical_genetics": 85.0,
    "anatomy": 69.6, "professional_medicine": 77.6, "college_biology": 74.3, "college_medicine": 66.5,
}  # fmt: skip
"""MMed-Llama 3 8B on the English sets, from the same source; their mean is 72.59."""

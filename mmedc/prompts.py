"""The prompts of MMedBench, shared by fine-tuning and scoring.

The style `paper` is, word for word, the prompt of the paper's released code (Qiu et al. 2024, repository
MAGIC-AI4Med/MMedLM, finetune/train.py and inference/inference.py), including its odd sentence about the best treatment,
because scores can be compared only for the same prompt. The style `plain` omits that sentence.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

Style = Literal["paper", "plain"]
LANGUAGES = {"en": "English", "zh": "Chinese", "ja": "Japanese", "fr": "French", "ru": "Russian", "es": "Spanish"}
"""Languages as MMedBench names its files."""

_FRAME = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    "response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}"
    "\n\n### Response:"
)
_DIRECT = (
    "You're a {language} doctor, kindly address the medical queries according to the patient's account. Answer with "
    "the best option directly."
)
_REASONED = (
    "You're a {language} doctor, kindly address the medical queries according to the patient's account in {language}. "
    "Let’s solve this step-by-step. You should first give the reason in {language} for your choice. Then you should "
    "give the right answer index of the question."
)
_INPUT = {
    "paper": "###Question: {question} Which of the following is the best treatment for this patient? "
    "###Options: {options}",
    "plain": "###Question: {question} ###Options: {options}",
}


def prompt_of(question: str, options: Mapping[str, str], lang: str, reasoned: bool, style: Style = "paper") -> str:
    """Return the prompt for a question. `options`: letter → text. `reasoned`: asks for the rationale first."""
    language = LANGUAGES.get(lang, lang)
    listed = "".join(f"{letter}. {text} " for letter, text in options.items())
    instruction = (_REASONED if reasoned else _DIRECT).format(language=language)
    return _FRAME.format(instruction=instruction, input=_INPUT[style].format(question=question, options=listed))


def answer_of(letters: Sequence[str], rationale: str | None = None) -> str:
    """Return the answer that a model is trained to give."""
    answer = f"###Answer: OPTION {','.join(letters)} IS CORRECT."
    return f"###Rationale: {rationale}\n{answer}" if rationale else answer

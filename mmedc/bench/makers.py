"""Question sets in the formats of their makers, told by their descriptions, their own code or files of theirs.

Which of them were compared with a file of the maker stands in docs/how-to/scoring.md.
"""

import json
import re
from collections.abc import Iterable, Iterator

from mmedc.questions import LETTERS, NotAnItem, Row, options_of

MEDICAL = {
    "anatomy", "clinical_knowledge", "college_biology", "college_medicine", "genetics", "human_aging",
    "medical_genetics", "nutrition", "professional_medicine", "traditional_chinese_medicine", "virology",
}  # fmt: skip
"""The medical subjects of MMLU and of CMMLU."""
HEALTH = "health"
"""The category of MMLU-ProX that is read."""


def kormedmcqa(row: Row, file: str) -> Row:
    """Return a row of KorMedMCQA, whose answers are counted from 1."""
    options = options_of({letter: row[letter] for letter in "ABCDE" if row.get(letter)})
    return {
        "id": _named("kormedmcqa", row, "subject", "year", "period", "q_number"),
        "question": row["question"],
        "options": options,
        "gold": (LETTERS[int(row["answer"]) - 1],),
        "topic": row.get("subject") or "",
        "rationale": row.get("cot") or "",
    }


def headed(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows of a CSV file by the names in its first line. Rows of other files stay as they are."""
    names: list[str] | None = None
    for row in rows:
        if "cells" not in row:
            yield row
        elif names is None:
            names = [name.strip("\ufeff ") for name in row["cells"]]
        else:
            yield dict(zip(names, row["cells"], strict=False))


def cmmlu(row: Row, file: str) -> Row:
    """Return a row of CMMLU's CSV files, which are named after their subjects."""
    subject = file.rsplit("/", 1)[-1].split(".")[0]
    if subject not in MEDICAL:
        raise NotAnItem("a subject that is not medical")
    options = options_of({letter: row[letter] for letter in "ABCD"})
    return {"question": row["Question"], "options": options, "gold": (row["Answer"].strip(),), "topic": subject}


def cmb(row: Row, file: str) -> Row:
    """Return a row of CMB-Exam, in which several letters are written together."""
    if not row.get("answer"):
        raise NotAnItem("no answer")
    return {
        "id": f"cmb-{row['id']}" if row.get("id") is not None else None,
        "question": row["question"],
        "options": options_of(row["option"]),
        "gold": [*row["answer"].strip()],
        "topic": row.get("exam_subject") or "",
    }


def medexpqa(row: Row, file: str) -> Row:
    """Return a row of MedExpQA, whose options are numbered and of which the last may be empty."""
    numbered = sorted((int(number), text) for number, text in row["options"].items() if text)
    places = [number for number, _ in numbered]
    right = int(row["correct_option"])
    return {
        "id": _named("medexpqa", row, "lang", "year", "id"),
        "lang": row.get("lang") or _language(file),
        "question": row["full_question"],
        "options": options_of([text for _, text in numbered]),
        "gold": (LETTERS[places.index(right)],) if right in places else (),
        "topic": row.get("type") or "",
        "rationale": row.get("full_answer") or "",
    }


def medxpertqa(row: Row, file: str) -> Row:
    """Return a row of MedXpertQA's text part, whose question repeats the options."""
    if row.get("images"):
        raise NotAnItem("a question about a picture")
    given = row["options"]
    if isinstance(given, list):
        given = {option["letter"]: option["content"] for option in given}
    return {
        "id": f"medxpertqa-{row['id']}",
        "question": re.split(r"\s*Answer Choices:", row["question"])[0],
        "options": options_of(given),
        "gold": (row["label"].strip(),),
        "topic": row.get("body_system") or "",
    }


def global_mmlu(row: Row, file: str) -> Row:
    """Return a row of Global-MMLU; the folder of a file is named after its language."""
    if row["subject"] not in MEDICAL:
        raise NotAnItem("a subject that is not medical")
    lang = _language(file)
    return {
        "id": f"global-mmlu-{lang}-{row['sample_id']}",
        "lang": lang,
        "question": row["question"],
        "options": options_of([row[f"option_{letter}"] for letter in "abcd"]),
        "gold": (row["answer"].strip(),),
        "topic": row["subject"],
    }


def mmlu_prox(row: Row, file: str) -> Row:
    """Return a row of MMLU-ProX, which has up to ten options; the folder of a file is named after its language."""
    if row["category"] != HEALTH:
        raise NotAnItem("a subject that is not medical")
    lang = _language(file)
    texts = [row.get(f"option_{number}") for number in range(10)]
    return {
        "id": f"mmlu-prox-{lang}-{row['question_id']}",
        "lang": lang,
        "question": row["question"],
        "options": options_of([text for text in texts if text and text != "N/A"]),
        "gold": (row["answer"].strip(),),
        "topic": row["category"],
    }


def afrimedqa(row: Row, file: str) -> Row:
    """Return a multiple-choice row of AfriMed-QA, whose options are JSON in a string."""
    if row.get("question_type") != "mcq":
        raise NotAnItem("a question without options")
    given = row["answer_options"]
    options: dict[str, str] = json.loads(given) if isinstance(given, str) else given
    names = [name for name in options if options[name] and options[name].strip().lower() not in NOTHING]
    right = [name.strip() for name in row["correct_answer"].split(",")]
    if not {*right} <= {*names}:
        raise NotAnItem("an answer that is not among the options")
    return {
        "id": f"afrimedqa-{row['sample_id']}",
        "question": row.get("question_clean") or row["question"],
        "options": options_of([options[name] for name in names]),
        "gold": [LETTERS[names.index(name)] for name in right],
        "topic": row.get("specialty") or "",
        "rationale": "" if (row.get("answer_rationale") or "").lower() in NOTHING else row["answer_rationale"],
    }


def kokushimd(row: Row, file: str) -> Row:
    """Return a row of KokushiMD-10, whose options stand under letters or numbers of their own."""
    if not row.get("text_only", True):
        raise NotAnItem("a question about a picture")
    names = [name for name in (*"abcdefghi", *"123456789") if row.get(name)]
    if not names:
        raise NotAnItem("a question without options")
    right = [*re.sub(r"[^a-z0-9]", "", str(row.get("answer") or "").lower())]
    if not {*right} <= {*names}:
        raise NotAnItem("an answer that is not among the options")
    return {
        "id": _named("kokushimd", row, "year", "section", "index") if row.get("year") else None,
        "question": row["question"],
        "options": options_of([row[name] for name in names]),
        "gold": [LETTERS[names.index(name)] for name in right],
        "rationale": row.get("cot") or "",
    }


def apollomoe(row: Row, file: str) -> Row:
    """Return a row of ApolloMoE's benchmark, whose options are lines such as `(A) …` in one text."""
    found = re.findall(r"\(([A-Z])\)\s*(.*?)\s*(?=\n\s*\([A-Z]\)|\Z)", row["options"], re.S)
    if not row.get("answer"):
        raise NotAnItem("no answer")
    return {
        "lang": row.get("language") or _language(file),
        "question": row["question"],
        "options": options_of(dict(found)),
        "gold": re.findall(r"[A-Z]", row["answer"])[:1],
        "topic": row.get("source") or "",
    }


def medarabiq(row: Row, file: str) -> Row:
    """Return a row of MedArabiQ's questions with options, which are lines after Arabic letters; so is the answer."""
    question = row.get("Question") or row["Question - Arabic"]
    answer = row.get("Answer") or row["Answer - Arabic"]
    parts = ARABIC.split(question)
    names, texts = [_arabic(name) for name in parts[1::2]], [text.strip() for text in parts[2::2]]
    said = ARABIC.match(answer.strip())
    if len(names) < 2 or len({*names}) < len(names):
        raise NotAnItem("a question without options")
    if not said or _arabic(said[1]) not in names:
        raise NotAnItem("an answer that is not among the options")
    return {
        "question": parts[0],
        "options": options_of(texts),
        "gold": (LETTERS[names.index(_arabic(said[1]))],),
        "topic": row.get("Category") or "",
    }


def _arabic(letter: str) -> str:
    """Return the letter of an option in one of its spellings."""
    return letter.rstrip("\u0640").replace("\u0627", "\u0623")


def rumednli(row: Row, file: str) -> Row:
    """Return a row of RuMedNLI, which asks whether the second sentence follows from the first."""
    label = {"entailment": "A", "contradiction": "B", "neutral": "C"}.get(row.get("gold_label") or "")
    if label is None:
        raise NotAnItem("no answer")
    return {
        "id": f"rumednli-{row['pairID']}",
        "context": row["ru_sentence1"],
        "question": f"Следует ли из текста утверждение: «{row['ru_sentence2'].strip()}»?",
        "options": {"A": "да, следует", "B": "нет, противоречит ему", "C": "нельзя сказать"},
        "gold": label,
    }


def rumedtest(row: Row, file: str) -> Row:
    """Return a row of RuMedTest, whose published test has no answers."""
    if not row.get("answer"):
        raise NotAnItem("no answer")
    return {
        "id": f"rumedtest-{row['idx']}",
        "question": row["question"],
        "options": options_of([row[number] for number in "1234"]),
        "gold": (LETTERS[int(row["answer"]) - 1],),
    }


def europemedqa(row: Row, file: str) -> Row:
    """Return a row of EuropeMedQA as its makers convert it from their tables; an id begins with the country."""
    about = row.get("metadata") or {}
    if row.get("has_image"):
        raise NotAnItem("a question about a picture")
    if about.get("nullified"):
        raise NotAnItem("a question that was withdrawn")
    if not row.get("correct_answer"):
        raise NotAnItem("no answer")
    country = str(row["id"])[:2].lower()
    return {
        "id": f"europemedqa-{row['id']}",
        "lang": country if country in ("es", "fr", "it", "pt") else _language(file),
        "question": row["question"],
        "options": options_of({option["letter"]: option["text"] for option in row["options"]}),
        "gold": (row["correct_answer"]["letter"],),
        "topic": row.get("specialty") or "",
    }


ARABIC = re.compile(r"(?:^|\n)[ \t]*(هـ|[أابجدهو])[ \t]*[.)][ \t]*")
"""The letter before an option, at the beginning of a line."""
NOTHING = {"", "n/a", "n:a", "na"}
"""What stands in AfriMed-QA where there is nothing."""


def _named(name: str, row: Row, *keys: str) -> str | None:
    """Return an id made of the keys that number a question, or None where the row lacks the last of them."""
    if row.get(keys[-1]) is None:
        return None
    return "-".join([name, *(str(row[key]) for key in keys if row.get(key) is not None)])


def _language(file: str) -> str:
    """Return the code in the name of a file or of a folder above it, such as `fr/test.parquet` or `test.fr.jsonl`."""
    for part in reversed(re.split(r"[/._-]", file)):
        if part in CODES:
            return part
    raise NotAnItem("a file that is named after no language")


CODES = {
    "am", "ar", "bn", "cs", "de", "el", "en", "es", "fa", "fil", "fr", "ha", "he", "hi", "hu", "id", "ig", "it", "ja",
    "ko", "ky", "lt", "mg", "mr", "ms", "ne", "nl", "ny", "pl", "pt", "ro", "ru", "si", "sn", "so", "sr", "sv", "sw",
    "te", "th", "tr", "uk", "ur", "vi", "wo", "yo", "zh", "zu", "af",
}  # fmt: skip
"""The languages of Global-MMLU and MMLU-ProX."""

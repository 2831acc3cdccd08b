"""Question sets in the formats of their makers become items.

Files are local, or lie at `s3://` or in a data set at `hf://`. A row that cannot be an item (because it has a picture,
no answer, two options with the same text …) is left out and counted by reason.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mmedc.bench import makers
from mmedc.errors import RecipeError
from mmedc.inputs import list_inputs
from mmedc.questions import (
    LETTERS,
    Item,
    NotAnItem,
    Row,
    answer_of,
    checked,
    language_of,
    letters_of,
    marked_multiple,
    options_of,
    read_rows,
    same_texts,
)
from mmedc.questions import SUFFIXES as JSON_SUFFIXES

SUFFIXES = (*JSON_SUFFIXES, ".csv", ".csv.gz")
MMLU = (
    "clinical_knowledge",
    "medical_genetics",
    "anatomy",
    "professional_medicine",
    "college_biology",
    "college_medicine",
)
"""The six subjects of the paper."""


@dataclass(frozen=True)
class QuestionSet:
    """A question set: its maker, language and licence, and how its rows become items."""

    source: str
    lang: str
    licence: str
    read: Callable[[Row, str], Row]
    """(row, file name) → `question`, `options`, `gold` and any other field of an item. Raises: NotAnItem."""
    flatten: Callable[[Iterable[Row]], Iterable[Row]] = lambda rows: rows
    """Turns the rows of a file, which may hold several questions each, into one row a question."""


@dataclass
class Converted:
    """Items, and the rows that are not: reason → how many, and the place of the first."""

    items: list[Item] = field(default_factory=list)
    rejects: dict[str, tuple[int, str]] = field(default_factory=dict)

    def reject(self, reason: str, place: str) -> None:
        """Count a row at `place` that cannot be an item."""
        count, first = self.rejects.get(reason, (0, place))
        self.rejects[reason] = count + 1, first


def convert(name: str, patterns: list[str]) -> Converted:
    """Return the items in the files of `patterns`, which are in the format `name`.

    Raises: RecipeError for an unknown format, a pattern without files, or a file that cannot be read.
    """
    if name not in FORMATS:
        raise RecipeError(f'"{name}" is no format of questions; known are {", ".join(FORMATS)}')
    out, seen, form = Converted(), set(), FORMATS[name]
    for pattern in patterns:
        files = list_inputs(pattern, SUFFIXES)
        if not files:
            raise RecipeError(f"{pattern}: there are no files ({', '.join(SUFFIXES)})")
        for file in files:
            items = []
            for number, row in enumerate(form.flatten(row for _, row in read_rows(file)), 1):
                place = f"{file.name}#{number}"
                try:
                    item = _item(form.read(row, file.name), form, f"{name}-{place}")
                    if item.id in seen:
                        raise NotAnItem("an id that came before")
                except NotAnItem as problem:
                    out.reject(str(problem), place)
                except (KeyError, TypeError, ValueError, AttributeError, IndexError) as problem:
                    out.reject(f"not a row of {form.source} ({type(problem).__name__}: {problem})", place)
                else:
                    seen.add(item.id)
                    items.append(item)
            out.items += marked_multiple(items)
    return out


def _item(found: Row, form: QuestionSet, name: str) -> Item:
    question, options, gold = " ".join(str(found["question"]).split()), found["options"], letters_of([*found["gold"]])
    checked(question, options, gold)
    if same_texts(options):
        raise NotAnItem("two options with the same text")
    more = {key: found[key] for key in ("context", "topic", "rationale", "human_checked") if found.get(key)}
    name = str(found.get("id") or name)
    lang = str(found.get("lang") or form.lang)
    return Item(name, lang, question, options, gold, source=form.source, licence=form.licence, **more)


def _medqa(row: Row, file: str) -> Row:
    options = options_of(row["options"])
    if row["answer_idx"] is None:
        raise NotAnItem("no answer")
    return {"question": row["question"], "options": options, "gold": answer_of(row, options)}


def _igakuqa(row: Row, file: str) -> Row:
    if not row.get("text_only", True):
        raise NotAnItem("a question about a picture")
    letters = [str(letter).upper() for letter in row["answer"]]
    if any(letter not in LETTERS for letter in letters):
        raise NotAnItem("an answer that is a number")
    return {
        "id": f"igakuqa-{row['problem_id']}",
        "question": row["problem_text"],
        "options": options_of(row["choices"]),
        "gold": letters,
    }


def _frenchmedmcqa(row: Row, file: str) -> Row:
    answers = row.get("answers") or {letter: row[f"answer_{letter}"] for letter in "abcde"}
    right = row["correct_answers"]
    letters = [LETTERS[letter] if isinstance(letter, int) else str(letter).upper() for letter in right]
    return {
        "id": f"frenchmedmcqa-{row['id']}",
        "question": row["question"],
        "options": options_of(answers),
        "gold": letters,
    }


def _rumeddanet(row: Row, file: str) -> Row:
    answer = {"да": "A", "нет": "B"}.get(str(row.get("answer", "")).strip().lower())
    if answer is None:
        raise NotAnItem("no answer")
    found = {"question": row["question"], "context": row["context"], "options": {"A": "да", "B": "нет"}, "gold": answer}
    return found | ({"id": f"rumeddanet-{row['pairID']}"} if row.get("pairID") else {})


def _exams(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the questions of HEAD-QA's exams. Rows of the hub are questions already."""
    for row in rows:
        if "exams" not in row:
            yield row
            continue
        for name, exam in row["exams"].items():
            named = {"lang": row.get("language"), "name": exam.get("name", name)}
            for question in exam["data"]:
                yield {**named, **question, "category": exam["category"]}


def _headqa(row: Row, file: str) -> Row:
    if row.get("image"):
        raise NotAnItem("a question about a picture")
    ordered = sorted(row["answers"], key=lambda option: int(option["aid"]))
    places = [str(option["aid"]) for option in ordered]
    return {
        "id": f"headqa-{row['name']}-{row['qid']}",
        "lang": row.get("lang"),
        "question": row["qtext"],
        "options": options_of([option["atext"] for option in ordered]),
        "gold": (LETTERS[places.index(str(row["ra"]))],) if str(row["ra"]) in places else (),
        "topic": row.get("category", ""),
    }


def _mmedbench(row: Row, file: str) -> Row:
    options = options_of(row["options"])
    return {
        "lang": language_of(file),
        "question": row["question"],
        "options": options,
        "gold": answer_of(row, options),
        "rationale": row.get("rationale") or "",
        "human_checked": str(row.get("human_check_passed", "")).lower() == "true",
    }


def _counted_from_one(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield MedMCQA's rows with `cop` counted from 0, as on the hub; the makers' own files count from 1."""
    found = list(rows)
    known = [row["cop"] for row in found if isinstance(row.get("cop"), int) and row["cop"] >= 0]
    if known and min(known) > 0 and max(known) < 4:
        raise RecipeError("medmcqa: `cop` has neither 0 nor 4, so it cannot be known which option is the first")
    less = 1 if known and max(known) == 4 else 0
    yield from ({**row, "cop": row["cop"] - less if row.get("cop") is not None else -1} for row in found)


def _medmcqa(row: Row, file: str) -> Row:
    if not 0 <= row["cop"] < 4:
        raise NotAnItem("no answer")
    return {
        "id": f"medmcqa-{row['id']}" if row.get("id") else None,
        "question": row["question"],
        "options": options_of([row[f"op{letter}"] for letter in "abcd"]),
        "gold": (LETTERS[row["cop"]],),
        "topic": row.get("subject_name") or "",
        "rationale": row.get("exp") or "",
    }


def _abstracts(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield PubMedQA's questions, which are a mapping by PubMed number, or rows of the hub."""
    for row in rows:
        if "QUESTION" in row or "question" in row:
            yield row
        else:
            yield from ({"pubid": number, **question} for number, question in row.items())


def _pubmedqa(row: Row, file: str) -> Row:
    contexts: list[str] = row["CONTEXTS"] if "CONTEXTS" in row else row["context"]["contexts"]
    options = {"A": "yes", "B": "no", "C": "maybe"}
    decided = [letter for letter, text in options.items() if text == row.get("final_decision")]
    return {
        "id": f"pubmedqa-{row['pubid']}",
        "question": row["QUESTION"] if "QUESTION" in row else row["question"],
        "context": " ".join(contexts),
        "options": options,
        "gold": decided,
        "rationale": row.get("LONG_ANSWER") or row.get("long_answer") or "",
    }


def _mmlu(row: Row, file: str) -> Row:
    subject = row.get("subject") or re.sub(r"_(test|val|dev)$", "", file.rsplit("/", 1)[-1].split(".")[0])
    if subject not in MMLU:
        raise NotAnItem("a subject that is not medical")
    if "cells" in row:
        question, *texts, answer = row["cells"]
    else:
        question, texts, answer = row["question"], row["choices"], LETTERS[row["answer"]]
    return {"question": question, "options": options_of(texts), "gold": (answer.strip(),), "topic": subject}


FORMATS = {
    "medqa-usmle": QuestionSet("MedQA-USMLE", "en", "MIT", _medqa),
    "medqa-mcmle": QuestionSet("MedQA-MCMLE", "zh", "MIT", _medqa),
    "igakuqa": QuestionSet("IgakuQA", "ja", "unknown", _igakuqa),
    "frenchmedmcqa": QuestionSet("FrenchMedMCQA", "fr", "Apache-2.0", _frenchmedmcqa),
    "rumeddanet": QuestionSet("RuMedDaNet", "ru", "unknown", _rumeddanet),
    "headqa": QuestionSet("HEAD-QA", "es", "MIT", _headqa, _exams),
    "mmedbench": QuestionSet("MMedBench", "en", "CC-BY-NC-4.0", _mmedbench),
    "medmcqa": QuestionSet("MedMCQA", "en", "MIT", _medmcqa, _counted_from_one),
    "pubmedqa": QuestionSet("PubMedQA", "en", "MIT", _pubmedqa, _abstracts),
    "mmlu": QuestionSet("MMLU", "en", "MIT", _mmlu),
    "kormedmcqa": QuestionSet("KorMedMCQA", "ko", "CC-BY-NC-2.0", makers.kormedmcqa, makers.headed),
    "cmmlu": QuestionSet("CMMLU", "zh", "CC-BY-NC-4.0", makers.cmmlu, makers.headed),
    "cmb": QuestionSet("CMB", "zh", "unknown", makers.cmb),
    "medexpqa": QuestionSet("MedExpQA", "en", "CC-BY-4.0", makers.medexpqa),
    "medxpertqa": QuestionSet("MedXpertQA", "en", "MIT", makers.medxpertqa),
    "global-mmlu": QuestionSet("Global-MMLU", "en", "Apache-2.0", makers.global_mmlu, makers.headed),
    "mmlu-prox": QuestionSet("MMLU-ProX", "en", "MIT", makers.mmlu_prox),
    "afrimedqa": QuestionSet("AfriMed-QA", "en", "unknown", makers.afrimedqa, makers.headed),
    "kokushimd": QuestionSet("KokushiMD-10", "ja", "MIT", makers.kokushimd),
    "apollomoe": QuestionSet("ApolloMoEBench", "en", "MIT", makers.apollomoe),
    "medarabiq": QuestionSet("MedArabiQ", "ar", "non-commercial research (NYU)", makers.medarabiq, makers.headed),
    "rumednli": QuestionSet("RuMedNLI", "ru", "unknown", makers.rumednli),
    "rumedtest": QuestionSet("RuMedTest", "ru", "unknown", makers.rumedtest),
    "europemedqa": QuestionSet("EuropeMedQA", "it", "CC-BY-4.0", makers.europemedqa),
}
"""By the names that `mmedc items convert` takes. The licences are those that the makers state."""

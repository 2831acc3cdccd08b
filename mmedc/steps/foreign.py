"""Filters and formatters of datatrove as steps, so that a recipe can name any of them.

Each document becomes a `datatrove.data.Document`. Its metadata has `url`, `language` (ISO 639-1) and
`language_score` under the names that datatrove uses, and the title, the date and the measures set so far.
"""

import csv
import importlib
import inspect
import itertools
import logging
import random
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import MEASURES, offset_columns, set_column
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.engine.identity import NO_EFFECT
from mmedc.errors import RecipeError
from mmedc.reasons import DATATROVE
from mmedc.steps.normalise import normalise

INSTALL = "pip install 'mmedc[datatrove]'"


class Verdict(NamedTuple):
    """The result of datatrove for a document."""

    text: str
    dropped: str | None = None
    rejected: str | None = None


@dataclass(frozen=True)
class DatatroveStep:
    """Runs a filter or a formatter of datatrove on each document. Made by `datatrove_step`.

    Dropped: `datatrove_` with the reason that the filter gives (`datatrove_dropped` where it gives none), and
    `datatrove_empty` where nothing is left of the text. Rejected: `error`, for a document on which it raises.

    A changed text is normalised again if the step comes after `normalise`. Random draws and rotating replacements
    depend on the document alone, so that a corpus depends neither on batches nor on the order of files.
    """

    use: str
    """The class, as `package.module:Class`."""
    arguments: dict[str, Any]
    made_by: str
    """The version of datatrove, and that of the class where it has one."""
    languages: dict[str, str] = field(default_factory=dict)
    """datatrove's code for each language of the recipe if the filter is built per language, otherwise empty."""
    name: str = field(default="", metadata=NO_EFFECT)
    """The name of the class, followed by a number for each further step of the same class."""
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform; builds the filters."""
        _quiet()
        made = _class(self.use)
        judges = {
            code: _judge(made, {**self.arguments, "language": foreign}) for code, foreign in self.languages.items()
        }
        any_language = None if self.languages else _judge(made, self.arguments)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            rows = list(_documents(batch))
            verdicts: dict[int, Verdict] = {}
            if any_language:
                verdicts = any_language(rows)
            for code, judge in judges.items():
                verdicts |= judge([row for row in rows if row[1].metadata["language"] == code])
            return _marked(batch, [verdicts[ordinal] for ordinal, _ in rows])

        return transform


def datatrove_step(
    use: str, arguments: dict[str, Any], languages: tuple[str, ...], names: Collection[str] = ()
) -> DatatroveStep:
    """Return the step that runs class `use` of datatrove (`package.module:Class`) with `arguments`.

    A filter whose constructor takes `language` is built for each of `languages`, unless `arguments` has it. `names`
    are those of the other steps of datatrove in the chain.

    Raises: RecipeError when datatrove, the class or a package that it needs is missing, or for wrong arguments.
    """
    try:
        made_by = f"datatrove {metadata.version('datatrove')}"
    except metadata.PackageNotFoundError:
        raise RecipeError(f"{use} needs datatrove, which is not installed: {INSTALL}") from None
    if "exclusion_writer" in arguments:
        raise RecipeError(f"{use}: leave exclusion_writer out; every dropped document is in the rejects")
    try:
        made = _class(use)
        takes_language = "language" in inspect.signature(made).parameters
        codes = _codes(languages) if takes_language and "language" not in arguments else {}
        chosen: list[Any] = [*codes.values()] or [arguments.get("language")]
        made(**arguments, **({"language": chosen[0]} if codes else {}))
        for code in chosen:
            _tokenizer(made, code)
    except ImportError as problem:
        raise RecipeError(f"{use}: {problem} ({INSTALL} has what most filters need)") from None
    except (AttributeError, TypeError, ValueError) as problem:
        raise RecipeError(f"{use} can't be made ({problem})") from None
    if hasattr(made, "version"):
        made_by += f", version {made.version}"
    name = use.rpartition(":")[2]
    number = next(number for number in itertools.count(1) if _numbered(name, number) not in names)
    return DatatroveStep(use, arguments, made_by, codes, _numbered(name, number))


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_{number}"


def _class(use: str) -> Any:
    """Return the class. Raises: ImportError, AttributeError; TypeError if it is neither a filter nor a formatter."""
    from datatrove.pipeline.filters.base_filter import BaseFilter
    from datatrove.pipeline.formatters.base import BaseFormatter

    module, _, name = use.partition(":")
    made = getattr(importlib.import_module(module), name)
    if not (isinstance(made, type) and issubclass(made, BaseFilter | BaseFormatter)):
        raise TypeError("only filters (BaseFilter) and formatters (BaseFormatter) of datatrove are steps")
    return made


def _tokenizer(made: Any, code: str | None) -> Any:
    """Return the tokenizer that a filter of datatrove itself uses for a language, or None for another filter.

    Raises: ImportError if it lacks a package, which would otherwise become an error of every document.
    """
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    own = made.__module__.startswith("datatrove.") and "language" in inspect.signature(made).parameters
    return load_word_tokenizer(code) if own and code else None


def _codes(languages: tuple[str, ...]) -> dict[str, str]:
    """Return datatrove's code for each language, such as `cmn_Hani` for `zh`, from its own table of tokenizers.

    Raises: ValueError for a language that it lacks.
    """
    from datatrove.utils._import_utils import ASSETS_PATH

    known: dict[str, str] = {}
    with (Path(ASSETS_PATH) / "tokenizer_assignment.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["default_script"] == "TRUE" and row["type"]:
                code = f"{row['code_3']}_{row['script']}"
                known.setdefault(row["code_3"], code)
                if row["default_code_1"] == "TRUE" and row["code_1"]:
                    known.setdefault(row["code_1"], code)
    for language in languages:
        if language not in known:
            raise ValueError(f"datatrove has no tokenizer for {language}; give arguments.language")
    return {language: known[language] for language in languages}


Rows = list[tuple[int, Any]]
"""Ordinals, and the `datatrove.data.Document` of each."""


def _judge(made: Any, arguments: dict[str, Any]) -> Callable[[Rows], dict[int, Verdict]]:
    """Return the function that runs a filter or formatter on rows and returns a verdict by ordinal."""
    from datatrove.pipeline.filters.base_filter import BaseFilter

    step = made(**arguments)
    if tokenizer := _tokenizer(made, arguments.get("language")):
        tokenizer.word_tokenize("a")  # loads its data now, so that the time is not counted for the first document
    batched = issubclass(made, BaseFilter) and made.filter_batch is not BaseFilter.filter_batch

    def alone(ordinal: int, document: Any) -> Verdict:
        slot.mark(ordinal)
        _depend_on(step, document, arguments.get("seed"))
        try:
            if not isinstance(step, BaseFilter):
                return _verdict(True, step.format(document.text))
            return _verdict(step.filter_batch([document])[0] if batched else step.filter(document), document.text)
        except ImportError:  # of this machine, not of the document
            raise
        except Exception as problem:
            return Verdict("", rejected=f"error: {type(problem).__name__}: {problem}"[:400])

    def judge(rows: Rows) -> dict[int, Verdict]:
        if batched and len(rows) > 1:
            texts = [document.text for _, document in rows]
            try:
                results = step.filter_batch([document for _, document in rows])
                found = zip(rows, results, strict=True)
                return {ordinal: _verdict(result, document.text) for (ordinal, document), result in found}
            except Exception:  # one of the documents caused it, so each is judged on its own
                for (_, document), text in zip(rows, texts, strict=True):
                    document.text = text
        return {ordinal: alone(ordinal, document) for ordinal, document in rows}

    return judge


def _verdict(result: Any, text: Any) -> Verdict:
    """Return the verdict for the result of a filter: a truth value, or a truth value and a reason.

    Raises: TypeError for a text that is not a string.
    """
    kept, reason = result if isinstance(result, tuple) else (result, None)
    if not isinstance(text, str):
        raise TypeError(f"it left {type(text).__name__} instead of a text")
    if kept:
        return Verdict(text)
    name = re.sub(r"\W+", "_", str(reason or "dropped").lower()).strip("_") or "dropped"
    return Verdict(text, dropped=DATATROVE + (name if name == reason or not reason else f"{name}: {reason}"))


def _depend_on(step: Any, document: Any, seed: Any) -> None:
    """Make random draws (`uniform`) and rotations depend on the document only, and not on earlier documents."""
    if hasattr(step, "uniform"):
        step.uniform = random.Random(f"{seed}\0{document.id}").random
    for value in vars(step).values():
        if hasattr(value, "_replace_i"):  # in PIIFormatter, the index of the next replacement
            value._replace_i = 0


def _documents(batch: pa.RecordBatch) -> Iterator[tuple[int, Any]]:
    """Yield the ordinal and the datatrove document of each row; a row without a text yet has an empty text."""
    from datatrove.data import Document

    names = ("ordinal", "locator", "text", "title", "date", "lang", *MEASURES)
    for row in batch.select([name for name in names if name in batch.schema.names]).to_pylist():
        ordinal, text, locator = row.pop("ordinal"), row.pop("text"), row.pop("locator")
        known = {name: value for name, value in row.items() if value is not None}
        for ours, common in (("lang", "language"), ("lang_score", "language_score")):
            if ours in known:
                known[common] = known.pop(ours)
        yield ordinal, Document(text=text or "", id=locator, metadata={"url": locator, **known})


def _marked(batch: pa.RecordBatch, verdicts: list[Verdict]) -> pa.RecordBatch:
    """Return the batch with the texts, drop reasons and rejections of `verdicts`."""
    dropped = [verdict.dropped for verdict in verdicts]
    old = batch.column("text").to_pylist()
    fates = zip(old, verdicts, strict=True)
    changed = [not (each.dropped or each.rejected) and each.text != (text or "") for text, each in fates]
    if any(changed):
        texts = pa.array([v.text if new else text for v, new, text in zip(verdicts, changed, old, strict=True)])
        texts = texts.cast(pa.large_string())
        if "chars" in batch.schema.names:
            texts = pc.if_else(pa.array(changed), normalise(pc.fill_null(texts, "")), texts)
            batch = set_column(batch, "chars", pc.utf8_length(texts).cast(pa.float32()))
        for index, text in enumerate(texts.to_pylist()):
            if changed[index] and not text.strip():
                dropped[index] = f"{DATATROVE}empty"
        batch = set_column(batch, "text", texts)
        for name in offset_columns(batch):  # where they are in the new text is not known
            column = batch.column(name)
            batch = set_column(batch, name, pc.if_else(pa.array(changed), pa.scalar(None, column.type), column))
    batch = set_column(batch, "dropped_by", pa.array(dropped, pa.string()))
    return set_column(batch, "rejected_by", pa.array([verdict.rejected for verdict in verdicts], pa.string()))


def _quiet() -> None:
    """Silence the logs of datatrove and of its tokenizers."""
    from loguru import logger

    logger.disable("datatrove")
    logging.getLogger("jieba").addFilter(lambda record: record.levelno >= logging.WARNING)

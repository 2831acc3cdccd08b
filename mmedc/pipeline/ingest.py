"""The ingest pass: the steps for a record, their order, and the result of a unit."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from mmedc.dedup.signature import CONTENT, SKETCH, Sign, bands_for
from mmedc.document import DOCUMENT, MEASURES, OPT_OUT, RAW, SCHEMA_VERSION, document_id, document_schema
from mmedc.engine.chain import Funnel, Step
from mmedc.engine.unit import Accounted, Bounds, DataFile, Pass, Stream, Streamed, Unit, UnitFiles
from mmedc.filters import open_filters
from mmedc.forgetting import Entry, read_entries
from mmedc.licences import UNKNOWN
from mmedc.models import Model
from mmedc.pipeline.custom import measures_among, with_custom
from mmedc.policy import Policy
from mmedc.recipe import Recipe
from mmedc.recipe_parts import ModelName
from mmedc.sitelicences import Licences
from mmedc.sources import InputSplit, Reader
from mmedc.sources.books import book_rules
from mmedc.steps.block import Block
from mmedc.steps.decode import Decode
from mmedc.steps.extract import Extract
from mmedc.steps.forgotten import ForgetDois, WithoutForgotten
from mmedc.steps.language import Language
from mmedc.steps.medical import Medical
from mmedc.steps.nesting import Nesting
from mmedc.steps.normalise import Normalise
from mmedc.steps.perplexity import Perplexity
from mmedc.steps.prefilter import Prefilter
from mmedc.steps.preview import Preview
from mmedc.steps.privacy import Private
from mmedc.steps.rules import Rules
from mmedc.steps.score import Score
from mmedc.steps.wikitext import Wikitext


def ingest_steps(recipe: Recipe, policy: Policy) -> tuple[Step, ...]:
    """Return the steps of ingest in their order: cheap and selective steps before expensive ones."""
    model = _model("lid", recipe)
    on_texts = text_steps(recipe, policy)
    policy = policy.for_ingest()
    has_books = any(source.format == "books" for source in recipe.sources.values())
    dois = tuple(one for one in forgotten_by(recipe) if one.kind == "doi")
    steps: list[Step] = [
        Block(open_filters(recipe.filters).words("block/host_words.txt"), recipe.block),
        Decode(),
        Prefilter(policy),
        Nesting(recipe.limits.html_depth, recipe.limits.html_nodes),
        Preview(model, policy),
        _extract(recipe),
        *([Wikitext(book_rules(recipe))] if has_books else []),
        *([ForgetDois(dois)] if dois else []),
        *on_texts,
        *([Private(policy)] if recipe.privacy else []),
        Sign(recipe.dedup.jaccard),
    ]
    return with_custom(steps, recipe, policy)


def forgotten_by(recipe: Recipe) -> tuple[Entry, ...]:
    """Return what the recipe forgets. Raises: RecipeError."""
    with recipe.at("forget"):
        return read_entries(recipe.forget)


def _extract(recipe: Recipe) -> Extract:
    trees = _model("extractor", recipe) if recipe.extract == "mmedc" else None
    return Extract(recipe.extract, trees, recipe.ruby == "readings", recipe.opt_outs == "honour")


def text_steps(recipe: Recipe, policy: Policy) -> tuple[Step, ...]:
    """Return the steps of ingest that measure a text and apply the policy, wherever the text comes from."""
    scores = _scores(recipe, policy)
    model, policy = _model("lid", recipe), policy.for_ingest()
    kenlm = [Perplexity(recipe.models["kenlm"], policy)] if "kenlm" in recipe.models else []
    return (Normalise(), Language(model, policy), Medical(policy), Rules(policy), *scores, *kenlm)


def _scores(recipe: Recipe, policy: Policy) -> list[Score]:
    """Return the steps of the learned models that the recipe names, that ship, or that a limit needs."""
    limited = {name for each in policy.every for language in each.languages.values() for name in language.limits}
    known = {*open_filters(recipe.filters).models(), *recipe.models}
    scored_later = recipe.classify.measure if recipe.classify else None
    wanted: dict[ModelName, str] = {"medical": "medical_model", "quality": "quality"}
    return [
        Score(measure, _model(name, recipe), policy.for_ingest())
        for name, measure in wanted.items()
        if measure != scored_later and (name in known or measure in limited)
    ]


def _model(name: ModelName, recipe: Recipe) -> Model:
    filters = open_filters(recipe.filters)
    if name not in recipe.models:
        return filters.model(name)
    with recipe.at("models", name):
        return filters.model(name, recipe.models[name])


@dataclass(frozen=True, kw_only=True)
class Ingested(Accounted):
    """The result of ingest for a unit: DOCUMENT rows, and their keys, row by row."""

    documents: DataFile
    keys: DataFile
    text_bytes: int


@dataclass(frozen=True)
class FinishIngest:
    """Turns the kept rows of a unit into its documents and their keys."""

    bands: int
    schema: pa.Schema
    """The schema of the documents."""
    version: ClassVar[int] = SCHEMA_VERSION + 1  # the keys have the licence

    def __call__(
        self, unit: Unit[InputSplit], batches: list[pa.RecordBatch], out: UnitFiles, funnel: Funnel, removed: DataFile
    ) -> Ingested:
        """Write the documents and keys, sorted by language and then by position, so that a language is contiguous."""
        split = unit.spec
        if batches:
            # Steps may widen a type or add a column; all batches have the same columns.
            table = pa.Table.from_batches(batches).sort_by([("lang", "ascending"), ("ordinal", "ascending")])
        else:
            table = RAW.empty_table()
        rows = table.num_rows
        locators = table["locator"].to_pylist() if rows else []
        given: dict[str, Any] = {
            "id": [document_id(split.source, locator) for locator in locators],
            "source": [split.source] * rows,
            "removed_chars": [0] * rows,
        }
        default = {
            "kind": split.config.kind,
            "licence": split.config.licence,
            "licence_evidence": "source" if split.config.licence != UNKNOWN else None,
        }

        if split.licences and rows:
            table = _with_site_licences(table, locators, Licences(split.licences))

        def column(field: pa.Field) -> pa.Array:
            if field.name in given:
                return pa.array(given[field.name], field.type)
            if field.name in table.schema.names:
                found = table[field.name].cast(field.type)
                return pc.fill_null(found, default[field.name]) if default.get(field.name) else found
            return pa.nulls(rows, field.type)

        def evidence(field: pa.Field) -> pa.Array:
            """Return where licences were found, and after that the wishes of pages."""
            found = column(field)
            if "opt_out" not in table.schema.names or table["opt_out"].null_count == rows:
                return found
            both = zip(found.to_pylist(), table["opt_out"].to_pylist(), strict=True)
            said = ["; ".join(filter(None, (where, wish and OPT_OUT + wish))) or None for where, wish in both]
            return pa.array(said, field.type)

        own = [field for field in self.schema if field.name not in DOCUMENT.names]
        documents = pa.table(
            [evidence(field) if field.name == "licence_evidence" else column(field) for field in self.schema],
            schema=self.schema,
        )
        lengths = [len(text.encode()) for text in documents["text"].to_pylist()]
        keys = {
            name: documents[name]
            for name in ("id", "lang", "source", "kind", "licence", *MEASURES, *measures_among(own))
        }
        keys["bytes"] = pa.array(lengths, pa.int64())
        bands = pa.list_(pa.uint64(), self.bands)
        for name, kind in (("content", CONTENT), ("bands", bands), ("sketch", SKETCH)):
            keys[name] = table[name] if rows else pa.array([], kind)
        return Ingested(
            documents=out.write("documents", Stream(self.schema, iter([documents]), group_by="lang")),
            keys=out.write("keys", pa.table(keys)),
            text_bytes=sum(lengths),
            funnel=funnel,
            removed=removed,
        )


def _with_site_licences(table: pa.Table, locators: list[str], licences: Licences) -> pa.Table:
    """Return `table` with the licences of a list of sites where pages state none."""
    names = ("licence", "licence_evidence")
    columns: list[list[str | None]] = [
        table[name].to_pylist() if name in table.schema.names else [None] * table.num_rows for name in names
    ]
    for row, locator in enumerate(locators):
        if columns[0][row] is None and (found := licences.of(locator)):
            columns[0][row], columns[1][row] = found
    for name, values in zip(names, columns, strict=True):
        array = pa.array(values, RAW.field(name).type)
        at = table.schema.get_field_index(name)
        table = table.append_column(name, array) if at < 0 else table.set_column(at, name, array)
    return table


def ingest_pass(
    recipe: Recipe, policy: Policy, units: list[Unit[InputSplit]], columns: tuple[pa.Field, ...] = ()
) -> Pass[InputSplit, Ingested]:
    """Return the ingest pass of a recipe; `columns` are those that its own steps and measures add."""
    limits = recipe.limits
    bounds = Bounds(limits.document_seconds, limits.unit_seconds, limits.document_memory, limits.memory)
    finish = FinishIngest(bands_for(recipe.dedup.jaccard).count, document_schema(columns))
    entries = forgotten_by(recipe)
    records = WithoutForgotten(Reader(), entries) if entries else Reader()
    work: Streamed[InputSplit, Ingested] = Streamed(records, ingest_steps(recipe, policy), finish, bounds)
    return Pass("ingest", work, tuple(units), limits.retries)

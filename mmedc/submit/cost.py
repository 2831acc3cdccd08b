"""What a build would take on a cluster: hours, node hours, bytes, money; from measured costs, with every assumption."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from mmedc.errors import RequestError
from mmedc.settings import Bytes, Part, checked
from mmedc.shipped import shipped
from mmedc.submit.simulate import Conditions, drawn, simulate
from mmedc.yamlfile import read_yaml

HOUR_S = 3600.0
GROUP_ROWS = 100_000
"""Documents of a task of the passes over keys."""
PASSES = 20
"""Passes over keys: 11 for a million documents and 23 for four, each of which waits for the one before."""
MOST_SIMULATED = 200_000
"""Units that are simulated; of more, the time is scaled up."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Costs(Part):
    """What documents of one kind of input cost, measured by `benchmarks/cluster/costs.py`."""

    documents: int
    """The documents of the measurement."""
    input_bytes: int
    document_bytes: Positive
    """Bytes of input per document, compressed."""
    ingest_ms: Positive
    """CPU milliseconds per document that is read, up to its scores and signature."""
    kept: Share
    """The share of documents that ingest keeps, before the limits of the policy."""
    keys_ms: float
    """CPU milliseconds per kept document in the passes over keys."""
    publish_ms: float
    """CPU milliseconds per published document from there on: its tokens are counted, its shards written."""
    stored_bytes: float
    """Bytes per kept document that ingest writes: its text and columns."""
    keys_bytes: float
    exchanged_bytes: float
    """Bytes per kept document that the passes over keys write."""
    published: Share
    """The share of kept documents that the corpus has."""
    published_bytes: float
    tokens: float
    """Tokens per published document."""
    spread: Annotated[tuple[float, ...], Field(min_length=2)]
    """Quantiles, at equal steps, of what a unit costs relative to its bytes; 1 is the mean."""
    units: int


class Measured(Part):
    """The file `cluster/plan/costs.yaml`."""

    machine: str
    date: str
    warc: Costs
    parquet: Costs


class InputPlan(Part):
    """What would be read."""

    format: Literal["warc", "parquet"]
    bytes: Bytes
    """Its size, compressed."""
    documents: Annotated[int, Field(gt=0)] | None = None
    """Its documents; by default as many as bytes of the measured size make."""
    unit: Bytes = 2**30
    """The bytes of a unit: a WARC file, or `limits.unit` for Parquet."""
    kept: Share | None = None
    """The share that ingest keeps, where it is known better than from the measurement."""


class Spot(Part):
    """Machines that may be taken away."""

    share: Share = 0.0
    """The share of the nodes."""
    price: float = 0.0
    """Per node and hour."""
    losses_per_hour: float = 0.05
    """How often such a node is taken away, per hour."""


class ClusterPlan(Part):
    """A cluster, what it costs, and what it would read: the file of `mmedc plan --cluster`."""

    input: InputPlan | None = None
    """What would be read; by default what the recipe reads."""
    nodes: Annotated[int, Field(gt=0)]
    cpus: Annotated[int, Field(gt=0)] = 16
    """CPUs of a node: the units that it runs at once."""
    speed: Positive = 1.0
    """The speed of one of its CPUs, relative to the machine of the measurement."""
    network: Bytes = 1_000_000_000
    """Bytes per second that a node reads or writes."""
    price: float = 0.0
    """Per node and hour."""
    spot: Spot = Spot()
    storage: float = 0.0
    """Price of a gigabyte for a month."""
    currency: str = "USD"
    stragglers: Share = 0.005
    """The share of units that take five times as long."""
    failures: Share = 0.001
    """The share of units that fail and are tried again."""


@dataclass(frozen=True)
class Stage:
    """A part of a build on a cluster."""

    name: str
    units: int
    cpu_hours: float
    read: float
    written: float
    hours: float
    efficiency: float
    """The share of the CPUs' time that is work."""


@dataclass(frozen=True)
class Estimate:
    """What a build would take."""

    stages: tuple[Stage, ...]
    documents: float
    kept: float
    published: float
    tokens: float
    corpus_bytes: float
    node_hours: float
    node_price: float
    storage_price: float
    """Per month: the corpus, and what the build leaves beside it."""
    currency: str
    assumptions: tuple[str, ...]

    @property
    def hours(self) -> float:
        """The hours from the first unit to the corpus."""
        return sum(stage.hours for stage in self.stages)

    @property
    def exchanged(self) -> float:
        """The bytes that nodes read and write, besides the input and the corpus."""
        return sum(stage.read + stage.written for stage in self.stages) - self.stages[0].read - self.corpus_bytes


def read_plan(path: str) -> ClusterPlan:
    """Read the file of a cluster. Raises: RequestError with file, line and key."""
    return checked(ClusterPlan, read_yaml(path, RequestError), RequestError)


def read_costs() -> Measured:
    """Read the measured costs that ship with mmedc."""
    return checked(Measured, read_yaml(shipped("cluster") / "plan" / "costs.yaml", RequestError), RequestError)


def input_of(units: Sequence[tuple[str, int]], file: str) -> tuple[InputPlan, str]:
    """Return what a recipe reads, from the (format, bytes) of its units, and what of it no costs are known of.

    Raises: RequestError where costs of no format are known, or of two kinds.
    """
    known = {"warc": "warc", "parquet": "parquet", "jsonl": "parquet"}
    sizes = [size for format, size in units if format in known]
    kinds = {known[format] for format, _ in units if format in known}
    if len(kinds) != 1:
        found = " and ".join(sorted({format for format, _ in units})) or "nothing"
        raise RequestError(
            f"{file}: the recipe reads {found}, and costs are known of warc, parquet and jsonl, one at a time; "
            "say what would be read: input: {format: warc, bytes: 90TB}"
        )
    others = sorted({format for format, _ in units if format not in known})
    kind: Any = kinds.pop()
    left_out = sum(size for format, size in units if format not in known)
    unknown = f"not counted, because no costs are known: {left_out / 1e6:,.1f} MB of {', '.join(others)}"
    return InputPlan(format=kind, bytes=max(sum(sizes), 1), unit=max(sum(sizes) // len(sizes), 1)), (
        unknown if others else ""
    )


def estimate(plan: ClusterPlan, given: InputPlan, measured: Measured, unknown: str = "") -> Estimate:
    """Return what a build that reads `given` takes on the cluster of a plan; `unknown` is a further assumption."""
    costs: Costs = getattr(measured, given.format)
    read = given.bytes
    documents = given.documents or read / costs.document_bytes
    kept = documents * (costs.kept if given.kept is None else given.kept)
    published = kept * costs.published
    corpus = published * costs.published_bytes
    ingest_ms = read / costs.document_bytes * costs.ingest_ms
    passed_on = kept * (costs.stored_bytes + costs.keys_bytes)
    exchanged = kept * costs.exchanged_bytes
    units = max(1, math.ceil(read / given.unit))
    groups = max(1, math.ceil(kept / GROUP_ROWS))
    shards = max(1, math.ceil(corpus / 256e6))
    stages = (
        _stage("ingest", plan, costs, units, ingest_ms, read, passed_on),
        _stage(
            "duplicates",
            plan,
            costs,
            groups,
            kept * costs.keys_ms,
            kept * costs.keys_bytes + exchanged,
            exchanged,
            PASSES,
        ),
        _stage("publish", plan, costs, shards, published * costs.publish_ms, kept * costs.stored_bytes, corpus),
    )
    hours = sum(stage.hours for stage in stages)
    price = plan.price * (1 - plan.spot.share) + plan.spot.price * plan.spot.share
    return Estimate(
        stages=stages,
        documents=documents,
        kept=kept,
        published=published,
        tokens=published * costs.tokens,
        corpus_bytes=corpus,
        node_hours=hours * plan.nodes,
        node_price=hours * plan.nodes * price,
        storage_price=(corpus + passed_on + exchanged) / 1e9 * plan.storage,
        currency=plan.currency,
        assumptions=(*([unknown] if unknown else ()), *_assumptions(plan, given, costs, measured)),
    )


def conditions(plan: ClusterPlan) -> Conditions:
    """Return what happens on the cluster of a plan besides the work."""
    return Conditions(
        straggler=plan.stragglers,
        failure=plan.failures,
        losses_per_hour=plan.spot.share * plan.spot.losses_per_hour,
    )


def _stage(
    name: str, plan: ClusterPlan, costs: Costs, units: int, cpu_ms: float, read: float, written: float, passes: int = 1
) -> Stage:
    """Return a stage of `passes` passes, one after another.

    Its time is that of its CPUs, as simulated, or of its bytes, whichever is longer.
    """
    seconds = cpu_ms / 1000 / plan.speed
    simulated = min(units, MOST_SIMULATED)
    work = drawn(costs.spread, seconds / units / passes, simulated)
    run = simulate(work, plan.nodes, plan.cpus, conditions(plan))
    moved = (read + written) / (plan.nodes * plan.network)
    busy = run.seconds * passes * units / simulated
    return Stage(name, units, seconds / HOUR_S, read, written, max(busy, moved) / HOUR_S, run.efficiency)


def _assumptions(plan: ClusterPlan, given: InputPlan, costs: Costs, measured: Measured) -> Iterator[str]:
    yield (
        f"costs of {given.format} measured on {costs.documents:,} documents, {costs.input_bytes / 1e6:,.0f} MB, "
        f"{measured.date}, on one CPU of {measured.machine}; a CPU here is {plan.speed:g} times as fast"
    )
    yield f"CPU of ingest follows the bytes of the input: {costs.ingest_ms:g} ms for {costs.document_bytes:,.0f} bytes"
    if given.documents is None:
        yield f"a document is {costs.document_bytes:,.0f} bytes of input, as measured"
    if given.kept is None:
        yield f"ingest keeps {costs.kept:.1%} of the documents, as measured (2% of the pages were medical)"
    else:
        yield f"ingest keeps {given.kept:.1%} of the documents, as the file says"
    yield f"{costs.published:.1%} of these are published, as measured; more input has more duplicates, so fewer are"
    yield f"{PASSES} passes over keys, of 34 µs a document in all, as 4 million took (docs/explanation/scale.md)"
    yield (
        f"of the units, {plan.stragglers:.1%} take five times as long and {plan.failures:.1%} fail once; units cost "
        f"{costs.spread[0]:g} to {costs.spread[-1]:g} times the mean, as measured"
    )
    if plan.spot.share:
        lost = f"{plan.spot.losses_per_hour:g} per hour and node"
        yield f"{plan.spot.share:.0%} of the nodes are spot machines, taken away {lost}, replaced after three minutes"
    yield f"a node moves {plan.network / 1e6:,.0f} MB/s, and the store as much for all {plan.nodes:,} at once"
    yield "no pass that the recipe adds (classify, decontaminate, lines, OCR), and no start of the machines"
    yield "prices are those of the file; requests to the store and traffic out of it are not included"

"""Labelled texts: what is fitted on and measured against.

JSON lines, plain or `.gz`: `text`, `lang`, `label`, and `source`, which says where the text comes
from; or Parquet that `mmedc fit model` left. A text without a label has a null one. Texts of one *origin*
(the key `origin`, else the first word of `source`) are never on both sides of a split: a model must
not win by knowing the style of a source.
"""

import glob
import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.errors import RequestError

SCHEMA = pa.schema(
    [
        ("text", pa.large_string()),
        ("lang", pa.string()),
        ("label", pa.bool_()),
        ("source", pa.string()),
        ("origin", pa.string()),
        ("licence", pa.string()),
    ]
)


def read_labelled(patterns: Iterable[str], positive: str = "medical", languages: tuple[str, ...] = ()) -> pa.Table:
    """Return the labelled texts of files or patterns as a `SCHEMA` table, of `languages` only where some are given.

    `label` is true where it is `positive`, null where there is none. A language such as `zh-Hant` is its first
    part. Lines with an `error` (see `mmedc.fit.labels`) are passed over. Parquet keeps its further columns.

    Raises: RequestError with file and line for what is not a labelled text, or when there is none.
    """
    rows: list[dict[str, Any]] = []
    patterns = list(patterns)
    paths = sorted({path for pattern in patterns for path in glob.glob(pattern, recursive=True)})
    if paths and all(path.endswith(".parquet") for path in paths):
        table = pq.read_table(paths)
        return table.filter(pc.is_in(table["lang"], pa.array(languages, pa.string()))) if languages else table
    for path in paths:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.endswith(".gz")
            else Path(path).open(encoding="utf-8") as lines
        ):
            for number, line in enumerate(lines, 1):
                row = _row(line, f"{path}:{number}", positive, Path(path).parent.name)
                if row and (not languages or row["lang"] in languages):
                    rows.append(row)
    if not rows:
        of = f" in {', '.join(languages)}" if languages else ""
        raise RequestError(f"{' '.join(patterns)}: {len(paths)} files, no labelled text{of}")
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _row(line: str, where: str, positive: str, folder: str) -> dict[str, Any] | None:
    try:
        raw = json.loads(line)
        if raw.get("error"):
            return None
        label, source = raw.get("label"), str(raw.get("source") or folder)
        return {
            "text": str(raw["text"]),
            "lang": str(raw["lang"]).partition("-")[0],
            "label": label if label is None or isinstance(label, bool) else str(label) == positive,
            "source": source,
            "origin": str(raw.get("origin") or source.partition(" ")[0]),
            "licence": str(raw.get("licence") or "unknown"),
        }
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise RequestError(f"{where}: not a labelled text ({problem!r}); expected text, lang, label, source") from None

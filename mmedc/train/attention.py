"""Attention that never crosses from one document of a packed batch into another.

It is registered with `transformers` under one name, so that any of its models can use it. On CUDA one kernel
runs over all documents (`torch.nn.attention.varlen`). Elsewhere each document is a call of its own, so that one
document cannot change a bit of another. Models must run with `use_cache=False`, because with a cache
`transformers` ignores that positions restart.
"""

import contextlib
import functools
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmedc.errors import RecipeError

NAME = "mmedc_documents"
LARGEST_HEAD = 256
"""The most dimensions of a head that the kernel over packed documents takes."""


def register() -> str:
    """Register the attention with `transformers`, and return its name."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, lambda *_, **__: None)
    return NAME


@contextlib.contextmanager
def windows_asked() -> Iterator[set[int]]:
    """Collect the sizes of the windows and chunks that models ask of their masks in this context."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    sizes: set[int] = set()

    def mask(*_: Any, local_size: int | None = None, **__: Any) -> None:
        if local_size:  # some models ask for a mask of window 0 that no layer uses
            sizes.add(local_size)

    plain = ALL_MASK_ATTENTION_FUNCTIONS[NAME]
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, mask)
    try:
        yield sizes
    finally:
        ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, plain)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **given: Any,
) -> tuple[Tensor, None]:
    """Return attention of (1, heads, T, d) queries to (1, kv heads, T, d) keys as (1, T, heads, d).

    `given` holds `bounds`, (pieces + 1,) where documents begin and end, and `longest`, the most tokens of a piece.
    """
    if "bounds" not in given:
        raise RecipeError(
            "model: its code in transformers does not tell its attention where documents begin; choose another model"
        )
    bounds, longest = given["bounds"], given["longest"]
    _refuse(given, longest)
    kind = torch.get_autocast_dtype(query.device.type) if torch.is_autocast_enabled(query.device.type) else value.dtype
    # Norms and rotations of queries and keys may leave another type than a matrix product does.
    query, key, value = query.to(kind), key.to(kind), value.to(kind)
    if query.is_cuda and given.get("varlen", True) and _kernel_takes(query, value, dropout):
        packed = (states.squeeze(0).transpose(0, 1) for states in (query, key, value))
        return varlen_kernel()(*packed, bounds, longest, scaling).unsqueeze(0), None
    out = []
    options: dict[str, Any] = {
        "scale": scaling,
        "enable_gqa": query.shape[1] != key.shape[1],
        "dropout_p": dropout,
        "is_causal": True,
    }
    # One call for each document is correct everywhere, and fast enough where there is no kernel.
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if first < last:
            q, k, v = (states[:, :, first:last] for states in (query, key, value))
            out.append(F.scaled_dot_product_attention(q, k, v, **options))
    return torch.cat(out, dim=2).transpose(1, 2).contiguous(), None


def kernel_lacks(query: Tensor, value: Tensor, dropout: float) -> str:
    """Return what the kernel over packed documents cannot do of what a model asks, or an empty string."""
    size, other = query.shape[-1], value.shape[-1]
    if varlen_kernel() is None:
        return "this version of torch has none"
    if query.dtype not in (torch.bfloat16, torch.float16):
        return f"it does not compute in {str(query.dtype).removeprefix('torch.')}"
    if size != other:
        return f"its heads have one size, and the model's have {size} and {other}"
    if size % 8 or size > LARGEST_HEAD:
        return f"its heads have a multiple of 8 dimensions up to {LARGEST_HEAD}, and the model's have {size}"
    return "it has no dropout" if dropout else ""


def _kernel_takes(query: Tensor, value: Tensor, dropout: float) -> bool:
    lacks = kernel_lacks(query, value, dropout)
    if lacks:
        warnings.warn(
            f"attention runs document by document, which is slower than the kernel over all of them: {lacks}",
            stacklevel=2,
        )
    return not lacks


def _refuse(given: dict[str, Any], longest: int) -> None:
    """Raise a RecipeError for what a model asks of its attention and this one does not compute."""
    window = given.get("sliding_window")
    asked = {
        f"a sliding window of {window} tokens, fewer than data.context": window is not None and window < longest,
        "a soft cap of its scores": given.get("softcap") is not None,
        "attention sinks": given.get("s_aux") is not None,
    }
    for what, found in asked.items():
        if found:
            raise RecipeError(f"model: its attention has {what}, which packed documents do not; choose another model")


@functools.cache
def varlen_kernel() -> Any:
    """Return the kernel over packed (T, heads, d) tensors, or None where this torch has none.

    Its arguments changed from torch 2.10 to 2.13, so the signature is inspected.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters

    def kernel(query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, longest: int, scale: float | None) -> Tensor:
        options: dict[str, Any] = {"is_causal": True} if "is_causal" in known else {"window_size": (-1, 0)}
        if key.shape[1] != query.shape[1]:
            if "enable_gqa" in known:
                options["enable_gqa"] = True
            else:
                times = query.shape[1] // key.shape[1]
                key, value = (states.repeat_interleave(times, dim=1) for states in (key, value))
        if scale is not None and "scale" in known:
            options["scale"] = scale
        out: Any = varlen_attn(query, key, value, bounds, bounds, longest, longest, **options)
        return out  # type: ignore[no-any-return]

    return kernel

"""Attention that never crosses from one document of a packed batch into another.

It is registered with `transformers` under one name, so that any of its models can use it. On CUDA one kernel
runs over all documents (`torch.nn.attention.varlen`). Elsewhere each document is a call of its own, so that one
document cannot change a bit of another. Models must run with `use_cache=False`, because with a cache
`transformers` ignores that positions restart.
"""

import functools
import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmedc.errors import RecipeError

NAME = "mmedc_documents"


def register() -> str:
    """Register the attention with `transformers`, and return its name."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, lambda *_, **__: None)
    return NAME


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
    bounds, longest = given["bounds"], given["longest"]
    _refuse(given, longest)
    kernel = varlen_kernel() if query.is_cuda and given.get("varlen", True) else None
    if kernel is not None:
        packed = (states.squeeze(0).transpose(0, 1) for states in (query, key, value))
        return kernel(*packed, bounds, longest, scaling).unsqueeze(0), None
    out = []
    groups = query.shape[1] != key.shape[1]
    # One call for each document is correct everywhere, and fast enough where there is no kernel.
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if first < last:
            q, k, v = (states[:, :, first:last] for states in (query, key, value))
            out.append(F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=groups))
    return torch.cat(out, dim=2).transpose(1, 2), None


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

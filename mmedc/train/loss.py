"""The cross-entropy of the next token, computed without holding the logits of all tokens.

The logits of 8,192 tokens over a vocabulary of 152,000 take 5 GB in float32, and their gradient as much again.
Here the logits of some rows are computed at a time, and their gradient with them, so that the backward pass only
scales it. Each chunk of rows adds to the gradient of the whole output layer, which costs more than the product itself
where chunks are small, so they are as large as the memory of the device allows. On CUDA what lies between the products
is one compiled kernel, which never writes logits in float32.
"""

import functools
import warnings
from typing import Any

import torch
from torch import Tensor

from mmedc.redact import first_line
from mmedc.train.stream import IGNORE

LOGITS = 1 << 26
"""Logits that are computed at a time on the CPU: 256 MB of float32."""
MEMORY_SHARE = 1 / 16
"""The share of the memory of a CUDA device that logits and their gradient take."""
BYTES = {True: 4, False: 16}
"""Bytes that a logit takes with its gradient, compiled and not: two values of 16 bits, or more of 32 bits too."""


def rows_at_a_time(vocabulary: int, device: torch.device, fused: bool) -> int:
    """Return for how many tokens logits are computed at a time: a multiple of 64, at least 64."""
    if device.type != "cuda":
        return max(64, LOGITS // vocabulary)
    memory = torch.cuda.get_device_properties(device).total_memory
    return max(64, int(memory * MEMORY_SHARE) // (BYTES[fused] * vocabulary) // 64 * 64)


def _plain(logits: Tensor, index: Tensor, learnt: Tensor, z_loss: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return (rows,) losses, (rows,) log-partitions, and (rows, V) d loss / d logits.

    The latter is softmax - one-hot, plus 2 · z · softmax · log-partition for the z-loss, and 0 where nothing is learnt.
    """
    kind, logits = logits.dtype, logits.float()
    chosen = logits.gather(1, index[:, None]).squeeze(1)
    log_share = torch.log_softmax(logits, dim=-1)
    del logits
    losses = -log_share.gather(1, index[:, None]).squeeze(1) * learnt
    log_sum = chosen + losses  # where there is a target
    grad = log_share.exp_().mul_(((1 + 2 * z_loss * log_sum) * learnt)[:, None])
    grad.scatter_(1, index[:, None], grad.gather(1, index[:, None]) - learnt.float()[:, None])
    return losses, log_sum, grad.to(kind)


def _fusible(logits: Tensor, index: Tensor, learnt: Tensor, z_loss: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same as `_plain`, by operations that become one kernel over the logits."""
    wide = logits.float()
    log_sum = torch.logsumexp(wide, dim=-1)
    losses = (log_sum - wide.gather(1, index[:, None]).squeeze(1)) * learnt
    right = torch.arange(logits.shape[1], device=logits.device) == index[:, None]
    share = torch.exp(wide - log_sum[:, None]) * (1 + 2 * z_loss * log_sum)[:, None]
    return losses, log_sum, ((share - right.float()) * learnt.float()[:, None]).to(logits.dtype)


@functools.cache
def _compiled() -> Any:
    return torch.compile(_fusible, dynamic=True)


class _Kernel:
    """What is computed between the products: compiled on CUDA, while that works."""

    works = True

    @classmethod
    def run(cls, fused: bool, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
        if not (fused and cls.works):
            return _plain(*given)
        try:
            return _compiled()(*given)  # type: ignore[no-any-return]
        except torch.OutOfMemoryError:
            raise
        except Exception as problem:  # of Dynamo, Inductor, Triton or a C compiler
            cls.works = False
            warnings.warn(
                f"the loss is computed without torch.compile, which is slower and takes more memory: "
                f"{type(problem).__name__}: {first_line(problem)}",
                stacklevel=2,
            )
            return _plain(*given)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, z_loss: float, rows: int, fused: bool
    ) -> tuple[Tensor, Tensor]:
        needs = any(ctx.needs_input_grad[:2])
        d_hidden = torch.zeros_like(hidden) if needs else None
        d_weight: Tensor | None = None
        each = torch.zeros(len(targets), dtype=torch.float32, device=hidden.device)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for first in range(0, len(targets), rows):
            chunk = slice(first, first + rows)
            learnt = targets[chunk] != IGNORE
            index = torch.where(learnt, targets[chunk], 0)
            losses, log_sum, grad = _Kernel.run(fused, hidden[chunk] @ weight.t(), index, learnt, z_loss)
            each[chunk] = losses
            total += losses.sum() + z_loss * (log_sum.square() * learnt).sum()
            if d_hidden is None:
                continue
            d_hidden[chunk] = grad @ weight
            if ctx.needs_input_grad[1]:
                d_weight = _added(d_weight, grad, hidden[chunk])
        ctx.save_for_backward(d_hidden, d_weight)
        ctx.weight_dtype = weight.dtype
        ctx.mark_non_differentiable(each)
        return total, each

    @staticmethod
    def backward(ctx: Any, d_total: Tensor, _: Tensor) -> tuple[Any, ...]:
        d_hidden, d_weight = ctx.saved_tensors
        scaled = None if d_weight is None else (d_weight * d_total).to(ctx.weight_dtype)
        return d_hidden * d_total, scaled, None, None, None, None


def _added(d_weight: Tensor | None, grad: Tensor, hidden: Tensor) -> Tensor:
    """Return the gradient of the output layer with that of a chunk; the sum of several chunks is in float32."""
    if d_weight is None:
        return grad.t() @ hidden
    if d_weight.dtype != torch.float32:
        d_weight = d_weight.float()
    if grad.dtype == torch.float32:
        return d_weight.addmm_(grad.t(), hidden)
    return d_weight.add_(grad.t() @ hidden)


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    z_loss: float = 0.0,
    rows: int = 0,
    fused: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the summed loss of (T, d) hidden states with (V, d) output weights, and (T,) the loss of each token.

    Tokens whose target is IGNORE have no loss. `z_loss` weights the squared log-partition (arXiv 2204.02311,
    section 5), which is part of the sum but not of the losses of tokens. Memory: `rows` x V logits with their
    gradient, where 0 rows stand for `rows_at_a_time`. `fused`: whether to compile the kernel; None does on CUDA.
    """
    fused = hidden.is_cuda if fused is None else fused
    rows = rows or rows_at_a_time(weight.shape[0], hidden.device, fused and _Kernel.works)
    return _LinearCrossEntropy.apply(hidden, weight, targets, z_loss, rows, fused)  # type: ignore[no-any-return, no-untyped-call]

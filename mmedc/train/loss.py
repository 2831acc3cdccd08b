"""Cross-entropy of the next token without ever holding the logits of all tokens.

The logits of 8,192 tokens over 152,000 words are 5 GB in float32, and as much again for their
gradient. Here a few thousand rows are made at a time, and their gradient at once with them, so that
the backward pass has nothing left to do but to scale it.
"""

from typing import Any

import torch
from torch import Tensor

from mmedc.train.stream import IGNORE

LOGITS = 1 << 26
"""Logits that are made at a time: 256 MB of float32."""


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, z_loss: float, rows: int
    ) -> tuple[Tensor, Tensor]:
        needs = any(ctx.needs_input_grad[:2])
        d_hidden = torch.zeros_like(hidden) if needs else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if needs and ctx.needs_input_grad[1] else None
        each = torch.zeros(len(targets), dtype=torch.float32, device=hidden.device)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for first in range(0, len(targets), rows):
            some = slice(first, first + rows)
            learnt = targets[some] != IGNORE
            index = torch.where(learnt, targets[some], 0)
            logits = (hidden[some] @ weight.t()).float()
            chosen = logits.gather(1, index[:, None]).squeeze(1)
            log_share = torch.log_softmax(logits, dim=-1)
            del logits
            losses = -log_share.gather(1, index[:, None]).squeeze(1) * learnt
            log_sum = chosen + losses  # where something is learnt
            each[some] = losses
            total += losses.sum() + z_loss * (log_sum.square() * learnt).sum()
            if d_hidden is not None:
                # d loss / d logits = softmax - one-hot, and 2 z softmax log-sum of the z-loss.
                grad = log_share.exp_().mul_(((1 + 2 * z_loss * log_sum) * learnt)[:, None])
                grad.scatter_(1, index[:, None], grad.gather(1, index[:, None]) - learnt.float()[:, None])
                grad = grad.to(hidden.dtype)
                d_hidden[some] = grad @ weight
                if d_weight is None:
                    continue
                if d_weight.dtype == grad.dtype:
                    d_weight.addmm_(grad.t(), hidden[some])
                else:
                    d_weight += grad.t() @ hidden[some]
        ctx.save_for_backward(d_hidden, d_weight)
        ctx.weight_dtype = weight.dtype
        ctx.mark_non_differentiable(each)
        return total, each

    @staticmethod
    def backward(ctx: Any, d_total: Tensor, _: Tensor) -> tuple[Any, ...]:
        d_hidden, d_weight = ctx.saved_tensors
        scaled = None if d_weight is None else (d_weight * d_total).to(ctx.weight_dtype)
        return d_hidden * d_total, scaled, None, None, None


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, z_loss: float = 0.0, rows: int = 0
) -> tuple[Tensor, Tensor]:
    """Return the summed loss of (T, d) hidden states against (V, d) output weights, and (T,) the loss of each token.

    Tokens whose target is IGNORE have no loss. `z_loss` weighs the squared log-partition (arXiv 2204.02311,
    section 5), which is in the sum but not in the single losses. Memory: `rows` x V floats; 0 = as many rows as make
    LOGITS.
    """
    rows = rows or max(64, LOGITS // weight.shape[0])
    return _LinearCrossEntropy.apply(hidden, weight, targets, z_loss, rows)  # type: ignore[no-any-return, no-untyped-call]

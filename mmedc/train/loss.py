"""The cross-entropy of the next token, computed without holding the logits of all tokens.

The logits of 8,192 tokens over a vocabulary of 152,000 take 5 GB in float32, and their gradient as much again.
Here the logits of some rows are computed at a time, and their gradient with them, so that the backward pass only
scales it.
"""

from typing import Any

import torch
from torch import Tensor

from mmedc.train.stream import IGNORE

LOGITS = 1 << 26
"""Logits that are computed at a time: 256 MB of float32."""


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
            chunk = slice(first, first + rows)
            learnt = targets[chunk] != IGNORE
            index = torch.where(learnt, targets[chunk], 0)
            logits = (hidden[chunk] @ weight.t()).float()
            chosen = logits.gather(1, index[:, None]).squeeze(1)
            log_share = torch.log_softmax(logits, dim=-1)
            del logits
            losses = -log_share.gather(1, index[:, None]).squeeze(1) * learnt
            log_sum = chosen + losses  # where there is a target
            each[chunk] = losses
            total += losses.sum() + z_loss * (log_sum.square() * learnt).sum()
            if d_hidden is not None:
                # d loss / d logits is softmax - one-hot, plus 2 · z · softmax · log-sum for the z-loss.
                grad = log_share.exp_().mul_(((1 + 2 * z_loss * log_sum) * learnt)[:, None])
                grad.scatter_(1, index[:, None], grad.gather(1, index[:, None]) - learnt.float()[:, None])
                grad = grad.to(hidden.dtype)
                d_hidden[chunk] = grad @ weight
                if d_weight is None:
                    continue
                if d_weight.dtype == grad.dtype:
                    d_weight.addmm_(grad.t(), hidden[chunk])
                else:
                    d_weight += grad.t() @ hidden[chunk]
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
    """Return the summed loss of (T, d) hidden states with (V, d) output weights, and (T,) the loss of each token.

    Tokens whose target is IGNORE have no loss. `z_loss` weights the squared log-partition (arXiv 2204.02311,
    section 5), which is part of the sum but not of the losses of tokens. Memory: `rows` x V floats, where 0 rows stand
    for as many as give LOGITS logits.
    """
    rows = rows or max(64, LOGITS // weight.shape[0])
    return _LinearCrossEntropy.apply(hidden, weight, targets, z_loss, rows)  # type: ignore[no-any-return, no-untyped-call]

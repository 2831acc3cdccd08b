"""The weights of a model, from the first process to all devices. No other process holds the whole model at once.

Every process would read 32 GB of an 8B model into host memory, 256 GB on a machine of eight devices. Here the others
build it without values for its parameters, and each group of them (a layer, or what is left) is broadcast, and sharded
before the next one comes.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import nn


@contextlib.contextmanager
def without_weights(wanted: bool) -> Iterator[None]:
    """Build models in this context without values for their parameters, if `wanted`. Buffers have values."""
    if not wanted:
        yield
        return
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        yield


class Sender:
    """Broadcasts the parameters and buffers of modules from the first process, each of them once."""

    def __init__(self, rank: int, device: torch.device) -> None:
        self._rank, self._device = rank, device
        self._sent: dict[nn.Parameter, nn.Parameter] = {}  # by identity; tied weights stay tied

    def send(self, module: nn.Module) -> None:
        """Give the parameters and buffers of a module the values that they have in the first process.

        Those that were sent with an earlier module are left alone, whether or not they are sharded by now.
        """
        for part in module.modules():
            for name, parameter in part._parameters.items():
                if parameter is not None and not hasattr(parameter, "device_mesh"):
                    part._parameters[name] = self._parameter(parameter)
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    part._buffers[name] = self._received(buffer)

    def _parameter(self, parameter: nn.Parameter) -> nn.Parameter:
        if parameter in self._sent:
            return self._sent[parameter]
        made = nn.Parameter(self._received(parameter.data), requires_grad=parameter.requires_grad)
        self._sent[parameter] = self._sent[made] = made
        return made

    def _received(self, tensor: torch.Tensor) -> torch.Tensor:
        here: torch.Tensor = (
            tensor.to(self._device) if self._rank == 0 else torch.empty_like(tensor, device=self._device)
        )
        dist.broadcast(here, src=0)
        return here

    def forget(self) -> None:
        """Let go of the whole parameters of a module that is sharded by now."""
        self._sent.clear()


def shard(model: Any, layers: Any, mesh: Any, rank: int, device: torch.device, options: dict[str, Any]) -> None:
    """Send a model to the devices of `mesh` and shard it there (FSDP2), layer by layer.

    `options`: for `fully_shard`; `reshard_after_forward` holds for layers.
    """
    from torch.distributed.fsdp import fully_shard

    sender = Sender(rank, device)
    for layer in layers:
        sender.send(layer)
        fully_shard(layer, mesh=mesh, **options)
        sender.forget()
    sender.send(model)
    fully_shard(model, mesh=mesh, **{**options, "reshard_after_forward": None})
    sender.forget()

"""Exports a checkpoint as a Hugging Face folder."""

import json
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load

from mmedc.errors import RequestError
from mmedc.tokenizer import open_tokenizer
from mmedc.train import checkpoint
from mmedc.train.config import Train
from mmedc.train.launch import RECORD
from mmedc.train.model import Trained, build, save, save_adapter


def export(where: Path, folder: Path, adapter: bool = False) -> Path:
    """Write the checkpoint at `where`, or the newest one of the run at `where`, to `folder`, and return `folder`.

    Adapters are merged into the weights that they adapt. `adapter`: write them alone, as peft reads them.

    Raises: RequestError when there is no intact checkpoint, `folder` exists, or a run has no adapters to write.
    """
    if folder.exists():
        raise RequestError(f"{folder}: exists already; choose another folder")
    path = where if (where / checkpoint.STATE).is_file() else newest(where)
    run = path.parent.parent
    if damage := checkpoint.damage(path):
        raise RequestError(f"{damage}; choose another checkpoint of {path.parent}")
    record = json.loads((run / RECORD).read_text())
    settings = Train.model_validate(record["settings"])
    if adapter and settings.model.lora is None:
        raise RequestError(
            f"{run}: was not trained with model.lora, so it has no adapters; export it without --adapter"
        )
    tokenizer = open_tokenizer(settings.tokenizer)
    model = build(settings.model, tokenizer, settings.data.context, settings.seed)
    load_weights(path, model)
    state = json.loads((path / checkpoint.STATE).read_text())
    card = _card(folder.name, settings, state, record)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if adapter:
        save_adapter(folder, model.lm, card, record["corpora"])
    else:
        lm = model.lm.merge_and_unload() if settings.model.lora is not None else model.lm
        save(folder, lm, tokenizer, card, record["corpora"])
    return folder


def newest(run: Path) -> Path:
    """Return the newest intact checkpoint of a run. Raises: RequestError when there is none."""
    found = checkpoint.newest(run / "checkpoints")
    if found is None:
        raise RequestError(f"{run}: there is no intact checkpoint in {run / 'checkpoints'}")
    return found[0]


def load_weights(path: Path, model: Trained) -> None:
    """Load the weights of a checkpoint, without the state of the optimizer, into a model on this machine."""
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    frozen = any(not parameter.requires_grad for parameter in model.parameters())
    weights = {name: value for name, value in model.state_dict().items() if not frozen or name in trained}
    dcp_load({"model": weights}, checkpoint_id=path)
    with torch.no_grad():
        model.load_state_dict(weights, strict=False)


def _card(name: str, settings: Train, state: dict[str, Any], record: dict[str, Any]) -> str:
    languages = sorted({component.split("/")[1] for component in record["mixture"]})
    tokens = state["step"] * settings.batch * settings.data.context
    lines = [
        "---",
        "language:",
        *(f"- {lang}" for lang in languages),
        "tags:",
        "- medical",
        "library_name: transformers",
    ]
    lines += ["---", f"# {name}", "", f"Trained by mmedc for {state['step']:,} steps, {tokens:,} tokens.", ""]
    base = settings.model.path or f"random weights, {settings.model.config}"
    lines += [f"- started from: {base}", f"- tokenizer: {settings.tokenizer}"]
    lines += [f"- initial weights: {settings.init_from.checkpoint}"] if settings.init_from else []
    lines += [f"- corpus {name}: {digest}" for name, (_, digest) in record["corpora"].items()]
    lines += ["", "| component | documents | tokens |", "|---|--:|--:|"]
    lines += [
        f"| {component} | {have['documents']:,} | {have['tokens']:,} |" for component, have in record["mixture"].items()
    ]
    return "\n".join(lines) + "\n"

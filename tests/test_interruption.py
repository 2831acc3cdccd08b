"""What is said of an interrupted training: whether there is a checkpoint to go on from."""

from pathlib import Path

import pytest

from mmedc.cli.options import Interruption
from mmedc.cli.training import _told_what_is_kept


def test_a_training_without_a_checkpoint_claims_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Interruption, "said", "no checkpoint")
    with pytest.raises(KeyboardInterrupt), _told_what_is_kept(tmp_path):
        raise KeyboardInterrupt
    assert Interruption.said == "no checkpoint"

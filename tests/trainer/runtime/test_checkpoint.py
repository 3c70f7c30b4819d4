import os

import pytest
import torch
from safetensors.torch import load_file

from trainer.runtime import checkpoint
from trainer.runtime.checkpoint import CheckpointError

STATE = {
    "weights": torch.randn(2, 50, generator=torch.Generator().manual_seed(0)),
    "step": torch.tensor(7),
    "living": torch.tensor([0, 1]),
}


def test_state_comes_back_bit_for_bit_and_any_safetensors_reader_can_open_it(tmp_path):
    path = tmp_path / "deep" / "cohort.safetensors"
    checkpoint.save(path, STATE, "me")
    back = checkpoint.load(path, "me")
    assert back.keys() == STATE.keys()
    assert all(torch.equal(back[name], STATE[name]) for name in STATE)
    assert load_file(path).keys() == STATE.keys()


def test_every_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, STATE, "me")
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        with pytest.raises(CheckpointError):
            checkpoint.load(path, "me")


@pytest.mark.parametrize("size", [0, 5, 100])
def test_a_torn_file_is_refused(tmp_path, size):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, STATE, "me")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint.load(path, "me")


def test_anothers_checkpoint_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, STATE, "me")
    with pytest.raises(CheckpointError, match="belongs to me, not to you"):
        checkpoint.load(path, "you")


def test_a_failed_write_leaves_the_old_checkpoint_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, STATE, "me")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, {"step": torch.tensor(8)}, "me")
    assert int(checkpoint.load(path, "me")["step"]) == 7
    assert os.listdir(tmp_path) == ["c.safetensors"]

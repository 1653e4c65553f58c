import pytest
import torch

from triplenet.errors import OutputFailed
from triplenet.training import checkpoint
from triplenet.training.checkpoint import load_checkpoint, remove_checkpoints, save_checkpoint


def save(folder, epoch):
    tensors = {"weight": torch.full((2, 3), float(epoch)), "step": torch.tensor(epoch), "none": torch.zeros(0)}
    save_checkpoint(folder, epoch, tensors, {"done": epoch + 1, "loss": 0.1 + 0.2, "best": None})


def test_what_was_saved_comes_back(tmp_path):
    save(tmp_path / "state", 7)
    loaded = load_checkpoint(tmp_path / "state")
    assert loaded.epoch == 7
    assert loaded.state == {"done": 8, "loss": 0.1 + 0.2, "best": None}
    assert torch.equal(loaded.tensors["weight"], torch.full((2, 3), 7.0))
    assert loaded.tensors["step"].item() == 7
    assert loaded.tensors["none"].shape == (0,)


def test_there_may_be_none(tmp_path):
    assert load_checkpoint(tmp_path / "state") is None


def test_the_last_two_are_kept(tmp_path):
    for epoch in (0, 1, 5, 1_234_567):
        save(tmp_path, epoch)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch-000005.json",
        "epoch-000005.safetensors",
        "epoch-1234567.json",
        "epoch-1234567.safetensors",
    ]
    assert load_checkpoint(tmp_path).epoch == 1_234_567


def damage_truncate(folder):
    path = folder / "epoch-000002.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def damage_flip(folder):
    path = folder / "epoch-000002.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x10
    path.write_bytes(content)


def damage_header(folder):
    path = folder / "epoch-000002.safetensors"
    path.write_bytes(path.read_bytes().replace(b'\\"done\\": 3', b'\\"done\\": 4'))


def damage_sum(folder):
    (folder / "epoch-000002.json").write_text('{"epoch": 2, "sha2')


def damage_sum_kind(folder):
    (folder / "epoch-000002.json").write_text("[]")


def remove_sum(folder):
    (folder / "epoch-000002.json").unlink()


def remove_tensors(folder):
    (folder / "epoch-000002.safetensors").unlink()


def empty_tensors(folder):
    (folder / "epoch-000002.safetensors").write_bytes(b"")


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_flip,
        damage_header,
        damage_sum,
        damage_sum_kind,
        remove_sum,
        remove_tensors,
        empty_tensors,
    ],
)
def test_a_damaged_one_falls_back_to_the_one_before(tmp_path, damage):
    save(tmp_path, 1)
    save(tmp_path, 2)
    damage(tmp_path)
    assert load_checkpoint(tmp_path).epoch == 1
    save(tmp_path, 2)  # and is out of the way
    assert load_checkpoint(tmp_path).epoch == 2


def test_a_state_is_there_only_with_its_checksum(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def killed(path, value):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, 2)
    assert load_checkpoint(tmp_path).epoch == 1


def test_a_full_disk_leaves_the_earlier_states(tmp_path, monkeypatch):
    save(tmp_path, 1)
    save(tmp_path, 2)

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OutputFailed, match="No space left"):
        save(tmp_path, 3)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path).epoch == 2
    assert len(list(tmp_path.iterdir())) == 4


def test_removing_leaves_what_is_not_ours(tmp_path):
    save(tmp_path / "state", 1)
    remove_checkpoints(tmp_path / "state")
    assert not (tmp_path / "state").exists()
    save(tmp_path / "state", 1)
    (tmp_path / "state" / "notes.txt").write_text("")
    remove_checkpoints(tmp_path / "state")
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["notes.txt"]

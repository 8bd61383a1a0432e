from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from train_worker import SETTINGS, Killed, Net, Points, killer, run, same

from footpass_lib.schema import FootpassError
from footpass_lib.training import run_folder
from footpass_lib.training.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("on_cpu")


def stop_in_epoch_2(folder: Path, **options) -> None:
    """Leave a run that was killed after the second step of its second epoch."""
    with pytest.raises(Killed):
        run(SETTINGS, folder, loss_fn=killer(10), **options)
    assert [p.name for p in folder.glob("checkpoint-*")] == ["checkpoint-1.safetensors"]


def test_killed_anywhere_it_goes_on_exactly(tmp_path):
    """18 forward passes: end the process before each of them, sometimes twice."""
    expected = run()
    for after in range(18):
        folder = tmp_path / str(after)
        with pytest.raises(Killed):
            run(folder=folder, loss_fn=killer(after))
        if after % 4 == 3:
            with pytest.raises(Killed):
                run(folder=folder, loss_fn=killer(1))
        # once there is a checkpoint the first weights do not matter
        result = run(folder=folder, model=Net(seed=9 if after >= 6 else 0))
        assert not result.reused and same(result, expected)


def test_going_on_loads_only_the_epochs_that_are_left(tmp_path):
    loaded = []

    class Noted(Points):
        def __getitem__(self, i):
            loaded.append((self.epoch, int(i)))
            return super().__getitem__(i)

    stop_in_epoch_2(tmp_path)
    run(folder=tmp_path, epoch_dataset=Noted)
    assert sorted(loaded) == [(epoch, i) for epoch in (2, 3) for i in range(23)]


def test_the_number_of_workers_may_change_on_the_way(tmp_path):
    stop_in_epoch_2(tmp_path)
    assert same(run(replace(SETTINGS, num_workers=1), tmp_path), run())


def test_finished_runs_are_not_done_again(tmp_path):
    first = run(folder=tmp_path)
    again = run(folder=tmp_path, model=Net(seed=4), loss_fn=killer(0))
    assert again.reused and not first.reused and same(first, again)
    assert not again.model.training
    written = pd.read_csv(tmp_path / "history.csv")
    pd.testing.assert_frame_equal(written, first.history, check_exact=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.safetensors", "history.csv", "result.json", "run.json"]


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        (replace(SETTINGS, warmup_steps=5), {}, "settings.warmup_steps is 4 there and 5 here"),
        (
            replace(SETTINGS, learning_rates={"backbone": 5e-3, "head": 1e-2}),
            {},
            "settings.learning_rates.head is 0.02",
        ),
        (SETTINGS, {"config": {"data": {"hash": "b"}}}, "config.data.hash is 'a' there and 'b' here"),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_folder_of_another_run(tmp_path, settings, options, message, finished):
    config = {"config": {"data": {"hash": "a"}}}
    if finished:
        run(SETTINGS, tmp_path, **config)
    else:
        with pytest.raises(Killed):
            run(SETTINGS, tmp_path, loss_fn=killer(7), **config)
    with pytest.raises(FootpassError, match=message) as error:
        run(settings, tmp_path, **(config | options))
    assert str(tmp_path) in str(error.value)


class DyingDisk:
    """Ends the process before one of the operations that change the folder."""

    def __init__(self, monkeypatch, dies_at: int) -> None:
        self.left = dies_at
        for name in ("write_json", "write_text", "save_weights"):  # atomic: all or nothing
            self._patch(monkeypatch, run_folder, name)
        for name in ("replace", "unlink"):
            self._patch(monkeypatch, Path, name)

    def _patch(self, monkeypatch, owner, name) -> None:
        original = getattr(owner, name)

        def call(*args, **options):
            self.left -= 1
            if self.left == 0:
                raise Killed
            return original(*args, **options)

        monkeypatch.setattr(owner, name, call)


def test_killed_while_writing_it_goes_on_exactly(tmp_path, monkeypatch):
    """End the process at every single operation on the folder, from the first to the last of a run."""
    settings = replace(SETTINGS, epochs=3, accumulation=3)
    expected = run(settings)
    deaths = 0
    for dies_at in range(1, 1000):
        folder = tmp_path / str(dies_at)
        with monkeypatch.context() as patch:
            DyingDisk(patch, dies_at)
            try:
                run(settings, folder)
                break
            except Killed:
                deaths += 1
        result = run(settings, folder)
        assert same(result, expected), f"operation {dies_at}"
        pd.testing.assert_frame_equal(pd.read_csv(folder / "history.csv"), result.history, check_exact=True)
        assert sorted(p.suffix for p in folder.iterdir()) == [".csv", ".json", ".json", ".safetensors"]
    print(f"{deaths} operations")
    assert 20 < deaths < 999


def test_best_weights_and_checkpoint_belong_together(tmp_path, monkeypatch):
    """Killed when a new best was found, before the checkpoint that knows of it; repeated, the epoch does worse."""
    save = RunFolder.save

    def dying_save(self, model, optimizer):
        if len(self.history) == 2:
            raise Killed
        save(self, model, optimizer)

    first = run(replace(SETTINGS, epochs=1)).model.state_dict()
    values = iter([0.5, 0.1, 0.9, 0.8])
    monkeypatch.setattr(RunFolder, "save", dying_save)
    with pytest.raises(Killed):
        run(folder=tmp_path, validate=lambda _: next(values))
    monkeypatch.setattr(RunFolder, "save", save)
    result = run(folder=tmp_path, validate=lambda _: next(values))
    assert result.best_epoch == 1 and result.history["val_loss"].tolist() == [0.5, 0.9, 0.8]
    assert all(torch.equal(v, first[n]) for n, v in result.model.state_dict().items())


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_checkpoint(tmp_path, damage):
    stop_in_epoch_2(tmp_path)
    path = tmp_path / "checkpoint-1.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-8])
    with pytest.raises(FootpassError, match=f"{path.name}: damaged"):
        run(folder=tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"history": {"columns": []}, "sha256": ""}'])
def test_damaged_state(tmp_path, text):
    stop_in_epoch_2(tmp_path)
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(FootpassError, match=r"state\.json: "):
        run(folder=tmp_path)


def test_state_that_lacks_its_history(tmp_path):
    stop_in_epoch_2(tmp_path)
    path = tmp_path / "state.json"
    stored = json.loads(path.read_text())
    del stored["history"]
    path.write_text(json.dumps(stored))
    with pytest.raises(FootpassError, match=r"state\.json: expected sha256 and the history"):
        run(folder=tmp_path)


def test_checkpoint_of_another_model(tmp_path):
    stop_in_epoch_2(tmp_path)
    with pytest.raises(FootpassError, match="does not fit Net"):
        run(folder=tmp_path, model=Net("layer"))


def test_folders_that_are_incomplete(tmp_path):
    stop_in_epoch_2(tmp_path / "a")
    (tmp_path / "a" / "run.json").unlink()
    with pytest.raises(FootpassError, match=r"without its run\.json"):
        run(folder=tmp_path / "a")
    run(folder=tmp_path / "b")
    (tmp_path / "b" / "best.safetensors").unlink()
    with pytest.raises(FootpassError, match=r"best\.safetensors: there is no such file"):
        run(folder=tmp_path / "b")
    (tmp_path / "b" / "result.json").write_text("{}")
    with pytest.raises(FootpassError, match=r"result\.json: expected best_epoch and the history"):
        run(folder=tmp_path / "b")


def test_config_must_be_plain(tmp_path):
    with pytest.raises(FootpassError, match="plain JSON values"):
        run(folder=tmp_path, config={"path": tmp_path})


def test_nothing_is_pickled(tmp_path):
    stop_in_epoch_2(tmp_path / "killed")
    run(folder=tmp_path / "whole")
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert {p.suffix for p in files} == {".json", ".csv", ".safetensors"}
    for path in files:
        content = path.read_bytes()
        assert not content.startswith((b"PK", b"\x80"))  # torch's archives, and pickles
        if path.suffix == ".safetensors":
            header = int.from_bytes(content[:8], "little")
            tensors = json.loads(content[8 : 8 + header])
            ends = [entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"]
            assert max(ends) == len(content) - 8 - header  # nothing but the tensors that the header tells of


def test_moments_keep_their_layout_and_frozen_parts_have_none(tmp_path):
    def make() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Conv3d(2, 3, 3), torch.nn.Conv3d(3, 1, 1))
        model = model.to(memory_format=torch.channels_last_3d)
        model[1].requires_grad_(False)
        return model, torch.optim.AdamW(model.parameters())

    model, optimizer = make()
    model(torch.randn(2, 2, 4, 4, 4)).sum().backward()
    optimizer.step()
    folder = RunFolder(tmp_path, {})
    folder.resume(model, optimizer)
    folder.history += [{"epoch": 1, "a": float("nan")}, {"epoch": 2, "b": 0.1}]
    folder.save(model, optimizer)
    other, restored = make()
    read = RunFolder(tmp_path, {})
    read.resume(other, restored)
    pd.testing.assert_frame_equal(pd.DataFrame(read.history), pd.DataFrame(folder.history), check_exact=True)
    own, kept = optimizer.state[model[0].weight], restored.state[other[0].weight]
    assert own.keys() == kept.keys() == {"step", "exp_avg", "exp_avg_sq"}
    for name, value in own.items():
        assert torch.equal(value, kept[name]) and value.stride() == kept[name].stride()
    assert not restored.state[other[1].weight]

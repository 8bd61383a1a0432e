"""Inference over halves: windows and their mean against a slow reference, files, resuming, several processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.encode import VideoWriter
from footpass_lib.data.features import HalfFeatures, feature_path
from footpass_lib.data.logits import BACKGROUND_LOGIT, read_attribute, read_logits, write_logits
from footpass_lib.data.tactical import write_tactical
from footpass_lib.data.video import VideoReader
from footpass_lib.models.fast import has_bf16
from footpass_lib.models.taad import TAAD, TAADSettings
from footpass_lib.models.x3d import X3DSettings
from footpass_lib.samples.clips import TAADClips
from footpass_lib.samples.sampling import ClipSettings
from footpass_lib.schema import N_SLOTS, ROLES, FootpassError
from footpass_lib.spotting import detector
from footpass_lib.spotting.detector import (
    InferenceSettings,
    half_logits,
    half_logits_and_features,
    window_starts,
)
from footpass_lib.spotting.split import infer_split

HEIGHT, WIDTH = 32, 64
HALVES = {"game_3_H1": range(2, 64), "game_3_H2": range(70, 82)}
SETTINGS = InferenceSettings(window=20, stride=10)
SMALL = TAADSettings(
    encoder=X3DSettings(width_factor=1, depth_factor=1, stages=2, level=4, pyramid_width=8, pooling="flatten"),
    hidden=16,
)


def rows_of(frames: range) -> np.ndarray:
    """Three players: a keeper, one with a box in even frames only, one whose box is too small."""
    rows = []
    for frame in frames:
        for team, role, side in ((0, 1, 300.0), (1, 5, 300.0), (1, 12, 20.0)):
            has_box = role != 5 or frame % 2 == 0
            box = (200 + 400 * team + 5 * frame, 300, side, side) if has_box else (np.nan,) * 4
            rows.append(
                (frame, 100 + role, team, role, role, 0.5, 0.5, 1, 1, *box, 2 * (frame in (30, 75) and role == 1))
            )
    return np.array(rows, np.float32)


def write_video(path: Path, levels: list[int]) -> None:
    with VideoWriter(path, HEIGHT, WIDTH, crf=0, gop=7) as writer:
        writer.write(np.stack([np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in levels]))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    path = tmp_path_factory.mktemp("root")
    write_tactical(path / "data" / "val_tactical_data.h5", {half: rows_of(f) for half, f in HALVES.items()})
    write_video(path / "videos" / "game_3.mp4", [30 + 2 * frame for frame in range(90)])
    return DataRoot(path)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Probe(nn.Module):
    """Logits that tell the frame's brightness, the place in the window and the box."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.windows: list[int] = []

    def forward(self, video: Tensor, boxes: Tensor, mask: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        self.windows += [video.shape[2]] * len(video)
        level = video.mean(dim=(1, 3, 4))[:, None, None]  # (B, 1, 1, T)
        place = torch.arange(video.shape[2]).view(1, 1, 1, -1) * 0.25
        corner = boxes[..., 0].unsqueeze(1) * 0.125
        return self.weight * (torch.arange(9.0).view(1, 9, 1, 1) * level + place + corner) * mask.unsqueeze(1)

    def player_features(self, video: Tensor, boxes: Tensor, mask: Tensor) -> Tensor:
        return self(video, boxes, mask)[:, :3].permute(0, 2, 3, 1)

    def classify(self, features: Tensor, mask: Tensor) -> Tensor:
        assert (features[mask == 0] == 0).all()
        return features.permute(0, 3, 1, 2).repeat(1, 3, 1, 1)


def expected_logits(root: DataRoot, name: str, window: int, starts: list[int]) -> np.ndarray:
    """Frame by frame, slot by slot, in plain Python."""
    half = root.half(name)
    window = min(window, half.n_frames)
    with VideoReader(root.video(3)) as reader:
        levels = [(reader.read(f, f + 1).mean() / 255 - 0.45) / 0.225 for f in half.frames]
    expected = np.zeros((9, N_SLOTS, half.n_frames))
    for slot in range(N_SLOTS):
        for t in range(half.n_frames):
            x, _, side, _ = half.box[slot, t]
            if not side * 1.125 * WIDTH / 1920 >= 2:  # false for NaN too
                expected[0, slot, t] = BACKGROUND_LOGIT
                continue
            corner = (x - 0.125 * side // 2) * WIDTH / 1920
            places = [t - start for start in starts if start <= t < start + window]
            for c in range(9):
                expected[c, slot, t] = np.mean([c * levels[t] + 0.25 * p + 0.125 * corner for p in places])
    return expected


def test_defaults_are_the_official_two_passes():
    settings = InferenceSettings()
    assert (settings.window, settings.stride, settings.enlargement, settings.precision) == (50, 25, 1.125, "no")
    # the passes start at 0 and at 25; away from the ends every frame is in two windows
    assert window_starts(200, 50, 25) == [0, 25, 50, 75, 100, 125, 150]


@pytest.mark.parametrize("n_frames", [1, 19, 20, 21, 29, 30, 31, 99, 100])
@pytest.mark.parametrize("stride", [1, 7, 10, 20])
def test_windows_cover_every_frame_and_stay_inside(n_frames: int, stride: int):
    starts = window_starts(n_frames, 20, stride)
    window = min(20, n_frames)
    covered = np.zeros(n_frames, int)
    for start in starts:
        assert 0 <= start <= n_frames - window
        covered[start : start + window] += 1
    assert covered.min() >= 1 and len(set(starts)) == len(starts) and starts == sorted(starts)
    assert starts[-1] == max(0, n_frames - 20)


@pytest.mark.parametrize("name, starts", [("game_3_H1", [0, 10, 20, 30, 40, 42]), ("game_3_H2", [0])])
@pytest.mark.parametrize("batch", [1, 4])
def test_logits_are_the_mean_over_windows_and_background_without_a_box(
    root: DataRoot, name: str, starts: list[int], batch: int
):
    model = Probe().train()
    logits = half_logits(model, root, name, replace(SETTINGS, batch=batch))
    half = root.half(name)
    assert logits.dtype == np.float16 and logits.shape == (9, N_SLOTS, half.n_frames)
    expected = expected_logits(root, name, 20, starts)
    np.testing.assert_allclose(logits, expected, atol=4e-3, rtol=2e-3)
    assert model.windows == [min(20, half.n_frames)] * len(starts) and model.training
    slots = sorted(set(np.nonzero((logits[0] != BACKGROUND_LOGIT).any(axis=1))[0].tolist()))
    assert slots == [ROLES.index("GK") - 1, 13 + ROLES.index("RCB") - 1]


def test_the_video_is_decoded_once(root: DataRoot, monkeypatch: pytest.MonkeyPatch):
    read = []

    class Counting(VideoReader):
        def read(self, start: int, stop: int) -> np.ndarray:
            read.extend(range(start, stop))
            return super().read(start, stop)

    monkeypatch.setattr(detector, "VideoReader", Counting)
    half_logits(Probe(), root, "game_3_H1", SETTINGS)
    assert read == list(HALVES["game_3_H1"])


def test_filled_gaps_and_other_models(root: DataRoot):
    filled = half_logits(Probe(), root, "game_3_H1", replace(SETTINGS, fill_gaps=True))
    slot = 13 + ROLES.index("RCB") - 1
    assert (filled[0, slot, :-1] != BACKGROUND_LOGIT).all() and filled[0, slot, -1] == BACKGROUND_LOGIT
    seen = {}

    def spy(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        seen.update({key: tuple(value.shape) for key, value in batch.items()})
        return model(batch["video"], batch["boxes"], batch["mask"]) + batch["observed"][:, None]

    logits = half_logits(Probe(), root, "game_3_H2", SETTINGS, spy)
    plain = half_logits(Probe(), root, "game_3_H2", SETTINGS)
    np.testing.assert_allclose(logits[:, 0], plain[:, 0] + 1, rtol=2e-3)
    settings = ClipSettings(frames=12, event_offset=(3, 9), n_negatives=None, augmentation=None)
    clip = TAADClips(root, "val", settings, 0, 0)[0]
    assert seen == {key: (1, *value.shape) for key, value in clip.items() if key != "labels"}


def test_features_are_means_and_zero_without_a_box(root: DataRoot):
    features = half_logits_and_features(Probe(), root, "game_3_H1", SETTINGS)[1]
    assert features.dtype == np.float16 and features.shape == (N_SLOTS, 62, 3)
    expected = expected_logits(root, "game_3_H1", 20, [0, 10, 20, 30, 40, 42])[:3].transpose(1, 2, 0)
    seen = expected[..., 0] != BACKGROUND_LOGIT
    np.testing.assert_allclose(features[seen], expected[seen], atol=4e-3, rtol=2e-3)
    assert (features[~seen] == 0).all()


def test_the_detector_sees_in_a_window_what_it_sees_in_a_clip(root: DataRoot):
    model = TAAD(SMALL, seed=1).eval()
    settings = ClipSettings(frames=12, event_offset=(3, 9), n_negatives=None, enlargement_jitter=0.0, augmentation=None)
    clips = TAADClips(root, "val", settings, 0, 0)
    clip = next(clips[i] for i in range(len(clips)) if clips.windows[i].start == 70)  # all of the second half
    with torch.no_grad():
        direct = model(clip["video"][None], clip["boxes"][None], clip["mask"][None])[0].numpy()
    logits = half_logits(model, root, "game_3_H2", SETTINGS)
    seen = clip["mask"].numpy() > 0
    assert seen.sum() == 12 + 6
    np.testing.assert_allclose(logits[:, seen], direct[:, seen], atol=1e-3, rtol=1e-3)


def test_a_processor_without_bf16_computes_in_single_precision(root: DataRoot, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    assert not has_bf16(torch.device("cpu")) and has_bf16(torch.device("cuda"))
    model = TAAD(SMALL, seed=1)
    asked = half_logits(model, root, "game_3_H2", replace(SETTINGS, precision="bf16"))
    np.testing.assert_array_equal(asked, half_logits(model, root, "game_3_H2", SETTINGS))


def test_half_precision_is_close_and_overflow_is_told(root: DataRoot, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": True})
    model = TAAD(SMALL, seed=1)
    single = half_logits(model, root, "game_3_H2", SETTINGS).astype(np.float32)
    mixed = half_logits(model, root, "game_3_H2", replace(SETTINGS, precision="bf16")).astype(np.float32)
    assert 0 < np.abs(mixed - single).max() < 0.1
    broken = Probe()
    broken.weight.data.fill_(1e30)
    with pytest.raises(FootpassError, match="game_3_H1: the model's logits of slot 0, frame index 0"):
        half_logits(broken, root, "game_3_H1", SETTINGS)


def test_a_split_becomes_one_file_that_is_not_done_again(root: DataRoot, tmp_path: Path):
    out, model = tmp_path / "preds_val.h5", Probe()
    assert infer_split(model, root, "val", out, SETTINGS, progress=False) == out
    assert [path.name for path in tmp_path.iterdir()] == ["preds_val.h5"]
    for name, frames in HALVES.items():
        direct = half_logits(model, root, name, SETTINGS)
        whole = read_logits(out, name)
        assert whole.dtype == np.float16 and whole.shape == (9, N_SLOTS, frames.stop)
        np.testing.assert_array_equal(whole[:, :, frames.start :], direct)
        assert (whole[0, :, : frames.start] == BACKGROUND_LOGIT).all() and not whole[1:, :, : frames.start].any()
        np.testing.assert_array_equal(read_logits(out, name, root.half(name).frames), direct)
    model.windows.clear()
    infer_split(model, root, "val", out, replace(SETTINGS, batch=3), progress=False)
    assert model.windows == []
    for change in ("settings", "weights"):
        before = read_attribute(out, "fingerprint")
        if change == "weights":
            model.weight.data.mul_(2)
        infer_split(model, root, "val", out, replace(SETTINGS, stride=20), progress=False)
        assert model.windows and read_attribute(out, "fingerprint") != before
        model.windows.clear()


def test_a_killed_run_goes_on_and_a_new_video_starts_over(root: DataRoot, tmp_path: Path):
    out, plain = tmp_path / "preds_val.h5", tmp_path / "plain.h5"
    infer_split(Probe(), root, "val", plain, SETTINGS, progress=False)

    class Killed(Exception):
        pass

    def dies(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        if batch["video"].shape[2] == 12:  # the second half
            raise Killed
        return model(batch["video"], batch["boxes"], batch["mask"])

    def lives(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return model(batch["video"], batch["boxes"], batch["mask"])

    dies.__qualname__ = lives.__qualname__ = "same"
    with pytest.raises(Killed):
        infer_split(Probe(), root, "val", out, SETTINGS, progress=False, logits_of=dies)
    assert not out.exists()
    model = Probe()
    infer_split(model, root, "val", out, SETTINGS, progress=False, logits_of=lives)
    assert model.windows == [12]
    for name in HALVES:
        np.testing.assert_array_equal(read_logits(out, name), read_logits(plain, name))

    other = tmp_path / "root"
    (other / "data").mkdir(parents=True)
    (other / "data" / "val_tactical_data.h5").write_bytes(root.table_path("val").read_bytes())
    write_video(other / "videos" / "game_3.mp4", [31 + 2 * frame for frame in range(90)])
    infer_split(model, DataRoot(other), "val", out, SETTINGS, progress=False, logits_of=lives)
    assert model.windows.count(20) == 6
    write_video(other / "videos" / "game_3.mp4", [31] * 70)
    with pytest.raises(FootpassError, match=r"game_3\.mp4: has 70 frames; game_3_H2 ends with 81"):
        infer_split(model, DataRoot(other), "val", out, SETTINGS, progress=False)


def test_features_come_from_the_same_pass_and_are_kept(root: DataRoot, tmp_path: Path):
    model, plain, out = TAAD(SMALL, seed=1), tmp_path / "plain.h5", tmp_path / "preds_val.h5"
    infer_split(model, root, "val", plain, SETTINGS, progress=False)
    infer_split(model, root, "val", out, SETTINGS, progress=False, features=tmp_path / "features")
    for name in HALVES:
        np.testing.assert_array_equal(read_logits(out, name), read_logits(plain, name))
        logits, whole, seen = half_logits_and_features(model, root, name, SETTINGS)  # features (26, T, C)
        np.testing.assert_array_equal(logits, half_logits(model, root, name, SETTINGS))
        kept = pickle.loads(pickle.dumps(HalfFeatures(feature_path(tmp_path / "features", name))))
        assert (kept.n_frames, kept.channels) == whole.shape[1:]
        part, visible = kept.read(3, 9)
        np.testing.assert_array_equal(part, whole[:, 3:9])
        np.testing.assert_array_equal(visible, seen[:, 3:9])
        assert visible.any() and not visible.all() and not part[~visible].any()
        with pytest.raises(FootpassError, match=r"features/game_3_H\d\.h5: frames 3 to"):
            kept.read(3, kept.n_frames + 1)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "features").iterdir()}
    infer_split(model, root, "val", out, SETTINGS, progress=False, features=tmp_path / "features")
    assert written == {path: path.stat().st_mtime_ns for path in (tmp_path / "features").iterdir()}
    lost = feature_path(tmp_path / "features", "game_3_H2")
    lost.unlink()  # logits alone are no reason to be content
    infer_split(model, root, "val", out, SETTINGS, progress=False, features=tmp_path / "features")
    expected = half_logits_and_features(model, root, "game_3_H2", SETTINGS)[1]
    np.testing.assert_array_equal(HalfFeatures(lost).read(0, 12)[0], expected)
    infer_split(TAAD(SMALL, seed=2), root, "val", out, SETTINGS, progress=False, features=tmp_path / "features")
    assert (HalfFeatures(lost).read(0, 12)[0] != expected).any()


def test_a_file_that_holds_no_features_is_named(tmp_path: Path):
    for path in (tmp_path / "missing.h5", Path(__file__)):
        with pytest.raises(FootpassError, match=f"{path.name}: cannot be read as player features"):
            HalfFeatures(path).read(0, 1)


def run_as(rank: int, folder: Path, out: Path) -> None:
    """One of two processes, as torchrun would start it."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
    infer_split(TAAD(SMALL, seed=1), DataRoot(folder), "val", out, SETTINGS, progress=False)


def test_processes_share_the_halves(root: DataRoot, tmp_path: Path):
    out, alone = tmp_path / "shared" / "preds_val.h5", tmp_path / "alone.h5"
    context = multiprocessing.get_context("fork")  # a fresh interpreter would spend its time on importing
    first, second = (context.Process(target=run_as, args=(rank, root.path, out)) for rank in (0, 1))
    first.start()
    first.join(timeout=3)
    assert first.is_alive() and not out.exists()  # it waits for the other one's half
    second.start()
    for process in (first, second):
        process.join(timeout=60)
        assert process.exitcode == 0
    assert [path.name for path in out.parent.iterdir()] == ["preds_val.h5"]
    infer_split(TAAD(SMALL, seed=1), root, "val", alone, SETTINGS, progress=False)
    assert out.read_bytes() == alone.read_bytes()


@pytest.mark.slow
def test_workers_share_the_halves_and_change_no_result(root: DataRoot, tmp_path: Path):
    model, alone, shared = TAAD(SMALL, seed=1), tmp_path / "alone.h5", tmp_path / "shared.h5"
    infer_split(model, root, "val", alone, SETTINGS, progress=False, features=tmp_path / "a")
    infer_split(model, root, "val", shared, SETTINGS, progress=False, features=tmp_path / "b", workers=2)
    assert shared.read_bytes() == alone.read_bytes()
    for name in HALVES:
        pair = [HalfFeatures(feature_path(tmp_path / folder, name)) for folder in "ab"]
        np.testing.assert_array_equal(*(kept.read(0, kept.n_frames)[0] for kept in pair))


def test_files_of_logits_are_checked(tmp_path: Path):
    path = tmp_path / "preds_val.h5"
    with pytest.raises(FootpassError, match="there is no such file"):
        read_logits(path, "game_1_H1")
    path.write_text("no HDF5")
    with pytest.raises(FootpassError, match="cannot be read as an HDF5 file"):
        read_logits(path, "game_1_H1")
    assert read_attribute(path, "fingerprint") is None
    with pytest.raises(FootpassError, match=r"game_1_H1: expected logits \(9, 26, T\)"):
        write_logits(path, [("game_1_H1", 0, np.zeros((26, 9, 4)))])
    assert path.read_text() == "no HDF5"
    logits = np.random.default_rng(0).normal(size=(9, N_SLOTS, 6)).astype(np.float16)
    write_logits(path, [("game_1_H1", 3, logits)])
    with pytest.raises(FootpassError, match="has no logits of game_1_H2; it has game_1_H1"):
        read_logits(path, "game_1_H2")
    late = read_logits(path, "game_1_H1", range(7, 12))
    np.testing.assert_array_equal(late[:, :, :2], logits[:, :, 4:])
    assert (late[0, :, 2:] == BACKGROUND_LOGIT).all() and not late[1:, :, 2:].any()
    with h5py.File(path, "a") as file:
        file["game_2_H1"] = np.zeros((26, 9, 4))
    with pytest.raises(FootpassError, match=r"game_2_H1: expected a dataset \(9, 26, T\)"):
        read_logits(path, "game_2_H1")


def test_impossible_settings_are_refused():
    for wrong in ({"stride": 51}, {"stride": 0}, {"batch": 0}, {"precision": "half"}):
        with pytest.raises(FootpassError, match=f"{next(iter(wrong))}="):
            InferenceSettings(**wrong)

"""The sequence model on real matches without video: trained on a detector's replay, run over its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch.utils.data import Dataset

from footpass_lib.events.nms import nms
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.models.dst import DST
from footpass_lib.models.pointer_dst import build_dst
from footpass_lib.replay.windows import DetectedHalf, DetectedWindows, cut_detections, detected_halves
from footpass_lib.samples.windows import Window, WindowSettings
from footpass_lib.spotting.detector import window_starts
from footpass_lib.spotting.stitching import DecodeSettings, decode_windows, zones
from footpass_lib.study.dst import class_counts
from footpass_lib.study.plans import DSTPlan
from footpass_lib.study.pretrained import start_from
from footpass_lib.training.dst_loss import DSTLoss
from footpass_lib.training.fit import fit


class _InTurn(Dataset):
    """Windows of a half at given starts, and who is in their slots."""

    def __init__(self, half: DetectedHalf, starts: Sequence[int], settings: WindowSettings, seed: int) -> None:
        self.half, self.starts, self.settings, self.seed = half, list(starts), settings, seed
        self.players = np.full((len(self.starts), 26), -1)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> Window:
        rng = np.random.default_rng([self.seed, i])
        window, self.players[i] = cut_detections(self.half, self.starts[i], self.settings, rng)
        return window


def train_on_replay(
    plan: DSTPlan, halves: Sequence[DetectedHalf], seed: int, folder: Path | None, start: Path | None, key: str
) -> tuple[DST, pd.DataFrame]:
    loss = DSTLoss(plan.loss, class_counts(halves), plan.model.windows.frames_per_token)
    model = build_dst(plan.network, seed)
    if start is not None:
        start_from(start, model)
    result = fit(
        model,
        lambda epoch: DetectedWindows(halves, plan.model.windows, seed, epoch, plan.windows_per_half),
        lambda epoch: loss,
        replace(plan.train, seed=seed),
        folder,
        config={"key": key},
    )
    return result.model, result.history


def write_down(model: DST, detections: Events, settings: DecodeSettings, seed: int = 0) -> Events:
    """Events that a sequence model finds in detections."""
    tables = [_write_half(model, half, settings, seed) for half in detected_halves(detections)]
    return Events(detections.halves, pd.concat(tables, ignore_index=True))


def _write_half(model: DST, half: DetectedHalf, settings: DecodeSettings, seed: int) -> pd.DataFrame:
    shape = model.settings.windows
    starts = window_starts(half.n_frames, shape.window, settings.stride or shape.window)
    windows = _InTurn(half, starts, shape, seed)
    window, index, slot, class_id, score = decode_windows(
        model, windows, starts, zones(starts, shape.window, half.n_frames), settings
    )
    player = windows.players[window, slot]
    order = np.lexsort((slot, index))
    order = order[player[order] >= 0]
    team, jersey = half.players[player[order]].T
    columns = {"half": [half.half] * len(order), "frame": index[order] + half.first_frame, "team": team}
    columns |= {"jersey": jersey, "class": class_id[order], "score": score[order]}
    return nms(make_events([half.half], columns), settings.nms).table

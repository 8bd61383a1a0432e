"""Training clips of kept player features: what a graph network on a frozen detector learns from, without any video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.features import HalfFeatures, feature_path
from footpass_lib.data.half import TacticalHalf
from footpass_lib.samples.pixels import dilate
from footpass_lib.samples.sampling import ClipSettings, draw_epoch
from footpass_lib.samples.state import game_state
from footpass_lib.schema import FootpassError


class FeatureClips(Dataset):
    """The clips of one epoch, drawn as for ``TAADClips`` and cut out of kept features instead of videos.

    A clip is a dictionary over the 26 slots:

    - ``features`` (26, T, C) float16, 0 where a slot has no box
    - ``state`` (26, T, 7) float32, see ``samples.state.STATE``
    - ``present`` (26, T) bool, who is a node of the graph
    - ``mask`` (26, T) float32, 1 where the slot has a box
    - ``labels`` (26, T) int64 class ids

    Nothing is mirrored, and settings of crops, boxes and augmentation mean nothing. The features are kept in
    ``folder``, half by half; FootpassError if they are missing or of another length.
    """

    def __init__(
        self, root: DataRoot, split: str, folder: Path | str, settings: ClipSettings, seed: int, epoch: int
    ) -> None:
        self.settings = settings
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch,)))
        drawn = draw_epoch(root.index(split), settings, rng, root.table_path(split))
        self.clips = list(drawn[["half", "start"]].itertuples(index=False, name=None))
        names = sorted(set(drawn["half"]))
        self.halves = {name: root.half(name) for name in names}
        self.labels = {n: dilate(half.class_id, settings.dilation, half.jersey) for n, half in self.halves.items()}
        self.features = {name: HalfFeatures(feature_path(folder, name)) for name in names}
        for name, kept in self.features.items():
            if kept.n_frames != self.halves[name].n_frames:
                wanted = f"expected the {self.halves[name].n_frames} of {name}"
                raise FootpassError(f"{kept.path}: has features of {kept.n_frames} frames; {wanted}")

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        name, start = self.clips[i]
        clip = feature_window(self.halves[name], self.features[name], start, self.settings.frames)
        first = start - self.halves[name].first_frame
        labels = self.labels[name][:, first : first + self.settings.frames].astype(np.int64)
        return clip | {"labels": torch.from_numpy(labels)}


def feature_window(half: TacticalHalf, kept: HalfFeatures, start: int, length: int) -> dict[str, Tensor]:
    """What the graph network sees of ``length`` frames of a half, from absolute frame ``start`` on."""
    first = start - half.first_frame
    features, seen = kept.read(first, first + length)
    state, present = game_state(half, range(start, start + length))
    return {
        "features": torch.from_numpy(np.ascontiguousarray(features)),
        "state": state,
        "present": present,
        "mask": torch.from_numpy(seen.astype(np.float32)),
    }

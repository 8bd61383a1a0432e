"""The detector over one half, player by player: each is seen in a tube that follows them, as in training."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from footpass_lib.data.half import TacticalHalf
from footpass_lib.data.tubes import rows_of
from footpass_lib.data.video import VideoReader
from footpass_lib.models.fast import autocast
from footpass_lib.samples import pixels
from footpass_lib.samples.tubes import TubePlaces, grey_clips, tube_places
from footpass_lib.schema import N_SLOTS


def window_limits(starts: list[int], window: int, n_frames: int) -> list[tuple[int, int]]:
    """Frames that each window decides: its middle, from the middle of what it shares with its neighbours on."""
    return list(pairwise([0, *((a + window + b) // 2 for a, b in pairwise(starts)), n_frames]))


@torch.inference_mode()
def tube_features(
    model: nn.Module, half: TacticalHalf, reader: VideoReader, starts: list[int], length: int, side: int, precision: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits float32 (26, T, 9) and features (26, T, C) of a half's players, and where they have a box (26, T).

    ``starts`` are those of windows of ``length`` frames, each of which gives its middle; 0 where nobody is seen.
    """
    model, device = model.eval(), next(model.parameters()).device
    places = tube_places(half, (reader.height, reader.width), side)
    logits = np.zeros((N_SLOTS, half.n_frames, 9), np.float32)
    features = np.zeros((N_SLOTS, half.n_frames, model.encoder.channels), np.float16)
    limits = window_limits(starts, length, half.n_frames)
    windows = _windows(places, reader, half.first_frame, starts, length)
    for start, (low, high), (slots, batch) in zip(starts, limits, windows, strict=True):
        if not len(slots):
            continue
        with autocast(device, precision):
            video, boxes, mask = (batch[name].to(device) for name in ("video", "boxes", "mask"))
            seen = model.player_features(video, boxes, mask)
            found = model.classify(seen, mask)  # (N, 9, 1, T)
        part = slice(low - start, high - start)
        logits[slots, low:high] = found[:, :, 0, part].permute(0, 2, 1).float().cpu().numpy()
        features[slots, low:high] = seen[:, 0, part].float().cpu().numpy()
    return logits, features, places.seen


def _windows(
    places: TubePlaces, reader: VideoReader, first: int, starts: list[int], length: int
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """Of each window the slots (N,) that are seen in it, and their clips: ``video`` (N, 3, T, side, side) and so on."""
    within, held, begin = places.boxes_within(), np.empty((0, places.side, places.side, 3), np.uint8), 0
    rows = np.append(0, np.cumsum(places.seen.sum(axis=0)))  # first row of each frame
    row_of = rows_of(places.seen)
    done = 0
    for start in starts:
        held, begin = held[rows[start] - begin :], rows[start]
        frames = reader.read(first + done, first + start + length)
        held, done = np.concatenate([held, places.cut(frames, done)]), start + length
        span = slice(start, start + length)
        slots = np.flatnonzero(places.seen[:, span].any(axis=1))
        row = row_of[slots, span]
        video = grey_clips((*row.shape, places.side, places.side, 3))
        video[row >= 0] = held[row[row >= 0] - begin]
        boxes, mask = pixels.masked_boxes(
            within[slots, None, span].clip(0, places.side), places.seen[slots, None, span]
        )
        yield slots, {"video": pixels.normalise(torch.from_numpy(video)), "boxes": boxes, "mask": mask}

"""A detector over one half: the video is decoded once, windows overlap, and each frame gets their mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.features import HalfFeatures, feature_path
from footpass_lib.data.half import TacticalHalf
from footpass_lib.data.logits import background_logits
from footpass_lib.data.video import VideoReader
from footpass_lib.models.fast import PRECISIONS, autocast
from footpass_lib.models.gnn import GraphNetwork
from footpass_lib.samples import pixels
from footpass_lib.samples.feature_clips import feature_window
from footpass_lib.samples.state import state_of
from footpass_lib.schema import N_CLASSES, N_SLOTS, FootpassError, game_of
from footpass_lib.spotting.tubes import tube_features

Batch = dict[str, Tensor]
_WINDOWS_AT_ONCE = 8  # of kept features


@dataclass(frozen=True)
class InferenceSettings:
    """How a half is cut into windows; the defaults are the official baseline's two passes, shifted by half a window.

    FootpassError if the values do not fit together.
    """

    window: int = 50  # frames
    stride: int = 25  # frames from one window's start to the next one's
    batch: int = 1  # windows of one forward pass; changes no result but for rounding
    enlargement: float = pixels.ENLARGEMENT  # as in training, see ClipSettings, and so is the next
    fill_gaps: bool = False
    precision: str = "no"  # or bf16 for mixed precision; on a CPU only where it computes in bf16
    tube: int | None = None  # pixels; players are seen one by one in tubes of that side, see samples.tubes

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.window or self.batch < 1:
            raise FootpassError(
                f"inference: window={self.window}, stride={self.stride}, batch={self.batch}; expected a stride from 1 "
                "to the window and a batch of 1 or more"
            )
        if self.precision not in PRECISIONS:
            raise FootpassError(f"inference: precision={self.precision!r}, expected one of {', '.join(PRECISIONS)}")


def taad_logits(model: nn.Module, batch: Batch) -> Tensor:
    """Logits (B, 9, M, T) of a detector that needs video, boxes and mask; for clips in training and windows here."""
    return model(batch["video"], batch["boxes"], batch["mask"])


def gnn_logits(model: nn.Module, batch: Batch) -> Tensor:
    """Logits (B, 9, 26, T) of a batch of clips or windows, from video or from kept features, whichever it has."""
    if "features" in batch:
        return model(batch["features"], batch["state"], batch["present"])
    state = state_of(batch["slots"], batch["position"], batch["velocity"], batch["jersey"])
    return model(batch["video"], batch["boxes"], batch["mask"], state, batch["observed"] > 0)


def half_logits(
    model: nn.Module,
    root: DataRoot,
    half: str,
    settings: InferenceSettings,
    logits_of: Callable[[nn.Module, Batch], Tensor] = taad_logits,
) -> np.ndarray:
    """Logits of all slots over a half, before the softmax: float16 (9, 26, T), means over the windows with a frame.

    Index 0 is the half's first frame; background (``BACKGROUND_LOGIT``) where a slot has no box. ``logits_of`` calls
    the model on a batch of windows, a dictionary as in ``TAADClips`` without labels, all 26 slots in order.
    FootpassError if the half or its video cannot be read or ends too early, or a logit is not finite.
    """
    if settings.tube is not None:
        return _tube_logits_and_features(model, root, half, settings)[0]
    mean, seen = _stream_half(lambda batch: logits_of(model, batch).permute(0, 2, 3, 1), model, root, half, settings)
    return _or_background(mean, seen, half)


def half_logits_and_features(
    model: nn.Module, root: DataRoot, half: str, settings: InferenceSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of a TAAD as in :func:`half_logits`, and its player features, in one pass over the video.

    The features are float16 (26, T, C), 0 where a slot has no box; where it has one, bool (26, T), comes third.
    """

    if settings.tube is not None:
        return _tube_logits_and_features(model, root, half, settings)

    def both(batch: Batch) -> Tensor:
        features = model.player_features(batch["video"], batch["boxes"], batch["mask"])
        logits = model.classify(features, batch["mask"])
        return torch.cat([logits.permute(0, 2, 3, 1), features], dim=-1)

    mean, seen = _stream_half(both, model, root, half, settings)
    features = _to_half_precision(mean[..., N_CLASSES:], seen, half, "features")
    return _or_background(mean[..., :N_CLASSES], seen, half), features, seen


def _tube_logits_and_features(
    model: nn.Module, root: DataRoot, name: str, settings: InferenceSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As :func:`half_logits_and_features`; each frame is decided by the window in whose middle it lies."""
    half = root.half(name)
    length = min(settings.window, half.n_frames)
    starts = window_starts(half.n_frames, length, settings.stride)
    with open_video(root, half) as reader:
        logits, features, seen = tube_features(model, half, reader, starts, length, settings.tube, settings.precision)
    features = _to_half_precision(features, seen, name, "features")
    return _or_background(logits, seen, name), features, seen


@torch.inference_mode()
def feature_logits(
    model: GraphNetwork, half: TacticalHalf, settings: InferenceSettings, features: Path | str
) -> np.ndarray:
    """Logits of a half as in :func:`half_logits`, from its features that are kept in a folder.

    FootpassError if the features are missing or of another length, or a logit is not finite.
    """
    kept = HalfFeatures(feature_path(features, half.half))
    if kept.n_frames != half.n_frames:
        raise FootpassError(f"{kept.path}: has features of {kept.n_frames} frames; expected {half.n_frames}")
    model, device = model.eval(), next(model.parameters()).device
    length = min(settings.window, half.n_frames)
    starts = window_starts(half.n_frames, length, settings.stride)

    def batches() -> Iterator[tuple[list[int], Tensor]]:
        for i in range(0, len(starts), _WINDOWS_AT_ONCE):
            first = starts[i : i + _WINDOWS_AT_ONCE]
            pieces = [feature_window(half, kept, half.first_frame + start, length) for start in first]
            batch = {name: value.to(device) for name, value in default_collate(pieces).items()}
            yield first, gnn_logits(model, batch).permute(0, 2, 3, 1)

    mean = _mean_over_windows(batches(), half.n_frames, length)
    return _or_background(mean, kept.read(0, half.n_frames)[1], half.half)


def window_starts(n_frames: int, window: int, stride: int) -> list[int]:
    """First frames of windows that cover all frames: one every ``stride``, the last one ending with the half."""
    last = max(0, n_frames - window)
    return [*range(0, last, stride), last]


@contextmanager
def open_video(root: DataRoot, half: TacticalHalf) -> Iterator[VideoReader]:
    """The video of a half; FootpassError if it ends before the half does, or lacks a frame of it."""
    with VideoReader(root.video(game_of(half.half))) as reader:
        if reader.n_frames <= half.frames[-1]:
            found = f"has {reader.n_frames} frames; {half.half} ends with {half.frames[-1]}"
            raise FootpassError(f"{reader.path}: {found}")
        reader.require(half.first_frame, half.first_frame + half.n_frames)
        yield reader


def _stream_half(
    values_of: Callable[[Batch], Tensor], model: nn.Module, root: DataRoot, name: str, settings: InferenceSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Mean over windows of values (B, 26, T, K): float32 (26, T, K), and where a slot has a box, bool (26, T)."""
    half, device = root.half(name), next(model.parameters()).device
    length = min(settings.window, half.n_frames)
    starts = window_starts(half.n_frames, length, settings.stride)
    with open_video(root, half) as reader:
        boxes = pixels.enlarge(pixels.player_boxes(half, settings.fill_gaps), settings.enlargement)
        boxes = pixels.to_video(boxes, reader.height, reader.width)
        seen = pixels.large_enough(boxes)
        clips = _read_windows(reader, half.first_frame, starts, length)

        def batches() -> Iterator[tuple[list[int], Tensor]]:
            for i in range(0, len(starts), settings.batch):
                first = starts[i : i + settings.batch]
                pieces = [_window(half, boxes, seen, next(clips), start) for start in first]
                batch = {key: torch.stack([piece[key] for piece in pieces]).to(device) for key in pieces[0]}
                batch["video"] = pixels.normalise(batch["video"])
                yield first, values_of(batch)

        with _evaluating(model), autocast(device, settings.precision):
            return _mean_over_windows(batches(), half.n_frames, length), seen


def _mean_over_windows(batches: Iterable[tuple[list[int], Tensor]], n_frames: int, length: int) -> np.ndarray:
    """Means (26, T, K), float32, of starts of windows with values (B, 26, length, K)."""
    total, windows = np.float32(0), np.zeros((n_frames, 1), np.float32)
    for starts, tensor in batches:
        values = tensor.float().cpu().numpy()
        if not windows.any():
            total = np.zeros((N_SLOTS, n_frames, values.shape[-1]), np.float32)
        for start, value in zip(starts, values, strict=True):
            total[:, start : start + length] += value
            windows[start : start + length] += 1
    return total / windows


def _window(half: TacticalHalf, boxes: np.ndarray, seen: np.ndarray, frames: np.ndarray, start: int) -> Batch:
    """What the model sees of one window; ``video`` still is uint8 (T, H, W, 3), a quarter of what it will be."""
    part = slice(start, start + len(frames))
    corners, mask = pixels.masked_boxes(boxes[:, part], seen[:, part])
    return {
        "video": torch.from_numpy(frames),
        "boxes": corners,
        "mask": mask,
        "slots": torch.arange(N_SLOTS),
        "position": torch.from_numpy(np.nan_to_num(half.position[:, part])),
        "velocity": torch.from_numpy(np.nan_to_num(half.velocity[:, part])),
        "observed": torch.from_numpy(half.observed[:, part].astype(np.float32)),
        "jersey": torch.from_numpy(half.jersey[:, part].astype(np.float32)),
    }


def _read_windows(reader: VideoReader, first: int, starts: Sequence[int], length: int) -> Iterator[np.ndarray]:
    """Frames (length, H, W, 3) of each window; what two windows share is decoded once."""
    held, begin = np.empty((0, reader.height, reader.width, 3), np.uint8), starts[0]
    for start in starts:
        kept = held[start - begin :]
        new = reader.read(first + start + len(kept), first + start + length)
        held, begin = np.concatenate([kept, new]), start
        yield held


def _or_background(mean: np.ndarray, seen: np.ndarray, half: str) -> np.ndarray:
    """Logits (9, 26, T) of float16 from means (26, T, 9), background where nothing is seen."""
    logits = _to_half_precision(mean, seen, half, "logits").transpose(2, 0, 1)
    return np.where(seen, logits, background_logits(1))


def _to_half_precision(values: np.ndarray, seen: np.ndarray, half: str, what: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        stored = values.astype(np.float16)
    wrong = ~np.isfinite(stored).all(axis=2) & seen
    if wrong.any():
        slot, index = np.argwhere(wrong)[0]
        value = values[slot, index].flat[np.argmin(np.isfinite(stored[slot, index]))]
        raise FootpassError(f"{half}: the model's {what} of slot {slot}, frame index {index}: {value}, expected finite")
    return stored


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards the model is in the mode that it was in."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)

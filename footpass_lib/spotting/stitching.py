"""The sequence model over one half: overlapping windows, each decoded, stitched to one list of events.

Near a window's border the model sees half the context. So windows overlap, and every event is taken from the window
in whose inside it lies deepest. The baseline's decoding (section 6 of the FOOTPASS baseline: windows one after the
other) is kept for comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from footpass_lib.data.half import TacticalHalf
from footpass_lib.events.nms import nms
from footpass_lib.events.playbyplay import Events
from footpass_lib.models.dst import DST
from footpass_lib.samples.windows import ACTION, FRAME, ROLE, DSTHalf, ListedWindows, collate_windows
from footpass_lib.schema import TOLERANCE, FootpassError
from footpass_lib.spotting.decoding import Decoded, greedy_decode
from footpass_lib.spotting.detector import window_starts
from footpass_lib.spotting.peaks import slot_events

SCORES = ("action", "joint")


@dataclass(frozen=True)
class DecodeSettings:
    """How a half is decoded.

    Attributes
    ----------
    stride : int
        Frames from one window's start to the next one's, at most a window.
    score : str
        ``action``, the softmax of the action, as in the baseline: how sure the class is, whoever acts and whenever.
        ``joint``, the product of the probabilities of action, role and of all frames within ``TOLERANCE``: the model's
        own estimate that the event will be counted as right, so that the evaluation's threshold keeps its meaning.
        (A product with the probability of the very frame would not: a frame head is rarely sure of one frame.)
    monotone : bool
        Forbid an event before the one written last.
    nms : int or None
        Frames within which two events of one player and class are one, see ``postprocess.nms``. Two windows may put an
        event at slightly different frames, on either side of the line between them.
    batch : int
        Windows decoded at once; changes no result but for rounding.
    official : bool
        The baseline's decoding: windows one after the other, all events of one that does not come to its EOS dropped,
        score ``action``. Only ``batch`` counts besides.

    Raises
    ------
    FootpassError
        If a value is out of range.
    """

    stride: int = 375
    score: str = "joint"
    monotone: bool = False
    nms: int | None = TOLERANCE
    batch: int = 32
    official: bool = False

    def __post_init__(self) -> None:
        if self.stride < 1 or self.batch < 1 or (self.nms is not None and self.nms < 0):
            values = f"stride={self.stride}, batch={self.batch}, nms={self.nms}"
            raise FootpassError(f"decoding: {values}; expected 1 or more, and nms 0 or more or None")
        if self.score not in SCORES:
            raise FootpassError(f"decoding: score={self.score!r}, expected one of {', '.join(SCORES)}")


def zones(starts: Sequence[int], window: int, n_frames: int) -> np.ndarray:
    """Which indices of a half each window decides: those that are farther from its borders than from any other's.

    Parameters
    ----------
    starts
        Of N windows, ascending, that cover the half.
    window, n_frames
        Frames of a window and of the half.

    Returns
    -------
    ndarray of int64, shape (N, 2)
        First index, and the one after the last. Zones follow each other without a gap, from 0 to ``n_frames``: the ends
        of the half are no border. Of two windows in which an index is as deep, the later one has it.
    """
    starts = np.asarray(starts)
    lines = (starts[:-1] + window + starts[1:]) // 2  # middle of what neighbours share
    return np.stack([np.append(0, lines), np.append(lines, n_frames)], axis=1)


def decode_half(model: DST, half: DSTHalf, tactical: TacticalHalf, settings: DecodeSettings) -> Events:
    """Events of a half.

    Parameters
    ----------
    model
        In evaluation mode, on the device that is to be used.
    half, tactical
        The same half: what the model sees, and who holds which slot when.
    settings
        How it is decoded. A window that is not at its end after ``max_tokens`` keeps its events.

    Returns
    -------
    Events
        By frame, then slot, with absolute frames. Slots that nobody ever holds give no event.

    Raises
    ------
    FootpassError
        If the two are not of one half, the stride is longer than a window, or as in ``greedy_decode``.
    """
    window, frames = model.settings.windows.window, range(half.first_frame, half.first_frame + half.n_frames)
    if (half.half, frames) != (tactical.half, tactical.frames):
        found = f"found those of {tactical.half}, frames {tactical.frames[0]} to {tactical.frames[-1]}"
        raise FootpassError(f"{half.half}, frames {frames[0]} to {frames[-1]}: expected its own players, {found}")
    if settings.official:
        starts = list(range(0, half.n_frames, window))
        limits = np.stack([starts, np.append(starts[1:], half.n_frames)], axis=1)
    elif settings.stride > window:
        raise FootpassError(f"{half.half}: decoding: stride={settings.stride}, expected at most a window, {window}")
    else:
        starts = window_starts(half.n_frames, window, settings.stride)
        limits = zones(starts, window, half.n_frames)
    index, slot, class_id, score = _decode_windows(model, half, starts, limits, settings)
    events = _to_events(tactical, index, slot, class_id, score)
    return events if settings.official or settings.nms is None else nms(events, settings.nms)


def _decode_windows(
    model: DST, half: DSTHalf, starts: Sequence[int], limits: np.ndarray, settings: DecodeSettings
) -> tuple[np.ndarray, ...]:
    """Index, slot, class and score of the events that windows find within their limits, (E,) each."""
    windows = ListedWindows(half, starts, model.settings.windows)
    device, parts = next(model.parameters()).device, []
    for first in range(0, len(starts), settings.batch):
        some = range(first, min(first + settings.batch, len(starts)))
        batch = collate_windows([windows[i] for i in some])
        decoded = greedy_decode(
            model,
            batch.features.to(device),
            batch.n_frames.to(device),
            monotone=settings.monotone and not settings.official,
            tolerance=0 if settings.official else TOLERANCE,
        )
        kept = decoded.is_event & decoded.ended[:, None] if settings.official else decoded.is_event
        parts.append(_found(decoded, kept, np.asarray(starts)[some], limits[some], settings))
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _found(
    decoded: Decoded, kept: torch.Tensor, starts: np.ndarray, limits: np.ndarray, settings: DecodeSettings
) -> tuple[np.ndarray, ...]:
    window, place = (array.cpu().numpy() for array in kept.nonzero(as_tuple=True))
    tokens = decoded.tokens.cpu().numpy()[window, place]  # (E, 3)
    probabilities = decoded.probabilities.cpu().numpy().astype(np.float64)[window, place]
    joint = settings.score == "joint" and not settings.official
    score = (probabilities.prod(axis=1) if joint else probabilities[:, ACTION]).clip(0, 1)
    index = starts[window] + tokens[:, FRAME] - 1
    inside = (index >= limits[window, 0]) & (index < limits[window, 1])
    return index[inside], tokens[inside, ROLE], tokens[inside, ACTION] + 1, score[inside]


def _to_events(
    tactical: TacticalHalf, index: np.ndarray, slot: np.ndarray, class_id: np.ndarray, score: np.ndarray
) -> Events:
    """Events by frame and slot, of those who hold the slots."""
    order = np.lexsort((slot, index))
    order = order[tactical.jersey[slot, index][order] >= 0]
    return slot_events(tactical, index[order], slot[order], class_id[order], score[order])

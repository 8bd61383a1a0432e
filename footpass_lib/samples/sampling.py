"""Which clips an epoch consists of: events drawn by class, background clips, and where each clip starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from footpass_lib.data.dataroot import SplitIndex
from footpass_lib.samples.augment import Augmentation
from footpass_lib.samples.pixels import ENLARGEMENT
from footpass_lib.schema import EVENT_CLASSES, FootpassError

ANYONE = -1  # the centre of a random background clip is not drawn before the half is read


@dataclass(frozen=True)
class ClipSettings:
    """What a training clip is, and which clips an epoch has; the defaults are the official detector's.

    FootpassError if the values do not fit together.
    """

    frames: int = 50  # length T of a clip
    crop: tuple[int, int] | None = None  # height and width around the central player; None is the whole picture
    event_offset: tuple[int, int] = (15, 35)  # the anchor frame has an index in this range, both ends included
    n_negatives: int | None = 4  # other players, visible in the anchor frame; None for all 26 slots in order
    dilation: int = 1  # an event's label lasts so many frames longer on both sides
    enlargement: float = ENLARGEMENT
    enlargement_jitter: float = 0.125  # one draw a clip, plus or minus up to this
    fill_gaps: bool = False  # interpolate boxes over gaps of fewer than 50 frames
    per_class: int = 500  # largest number of events of each class in an epoch
    sqrt_total: int | None = None  # instead so many events, classes drawn by the square root of their counts
    background: int = 0  # clips whose central player has no event in the anchor frame
    background_random: float = 0.5  # share of them that are random in time and player; others have a bystander's event
    augmentation: Augmentation | None = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        low, high = self.event_offset
        if not 0 <= low <= high < self.frames:
            raise FootpassError(f"clips: event_offset={self.event_offset}, expected indices into {self.frames} frames")
        for name in ("n_negatives", "dilation", "per_class", "sqrt_total", "background"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise FootpassError(f"clips: {name}={value}, expected 0 or more")
        if self.crop is not None and min(self.crop) < 2:
            raise FootpassError(f"clips: crop={self.crop}, expected a height and width of 2 or more")
        if not 0 <= self.background_random <= 1:
            raise FootpassError(f"clips: background_random={self.background_random}, expected 0 to 1")
        if not 0 <= self.enlargement_jitter < self.enlargement:
            raise FootpassError(f"clips: enlargement_jitter={self.enlargement_jitter}, expected 0 to the enlargement")


def draw_epoch(index: SplitIndex, settings: ClipSettings, rng: np.random.Generator, source: Path | str) -> pd.DataFrame:
    """Draw the clips of an epoch from a split's events whose actor has a box in their frame.

    One row a clip: ``half``, ``frame`` (the anchor, absolute), ``slot`` (the central player's, or ``ANYONE``),
    ``event`` (whether it is the actor) and ``start`` (first frame of the clip). FootpassError, with the data called
    ``source``, if there is nothing to draw or a half is shorter than a clip.
    """
    short = index.halves[index.halves["n_frames"] < settings.frames]
    if len(short):
        name, length = short.iloc[0][["half", "n_frames"]]
        raise FootpassError(f"{source}: {name}: has {length} frames; expected the {settings.frames} of a clip or more")
    events = index.events
    seen = events[events["has_box" if settings.fill_gaps else "visible"]]
    if not len(seen):
        raise FootpassError(f"{source}: has no event whose actor has a box; expected some to draw clips from")
    n_random = round(settings.background_random * settings.background)
    actors = _actors(seen, settings, rng)
    bystanders = _bystanders(seen, settings.background - n_random, rng)
    drawn = pd.concat([actors, bystanders, _random_places(index.halves, n_random, rng)], ignore_index=True)
    drawn["start"] = _starts(drawn, index.halves, settings, rng)
    return drawn


def _actors(seen: pd.DataFrame, settings: ClipSettings, rng: np.random.Generator) -> pd.DataFrame:
    """Events by class, none twice before all of its class were drawn."""
    pools = [np.flatnonzero(seen["class"] == c) for c in range(1, len(EVENT_CLASSES) + 1)]
    counts = np.array([len(pool) for pool in pools])
    if settings.sqrt_total is None:
        wanted = np.minimum(counts, settings.per_class)
    else:
        wanted = rng.multinomial(settings.sqrt_total, np.sqrt(counts) / np.sqrt(counts).sum())
    places = np.concatenate([_cycle(pool, n, rng) for pool, n in zip(pools, wanted, strict=True)])
    return seen.iloc[places][["half", "frame", "slot"]].assign(event=True)


def _bystanders(seen: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Events whose centre is to be another player; ``slot`` is the actor's."""
    places = _cycle(np.arange(len(seen)), n, rng)
    return seen.iloc[places][["half", "frame", "slot"]].assign(event=False)


def _random_places(halves: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Frames drawn evenly from all frames of all halves."""
    ends = halves["n_frames"].cumsum().to_numpy()
    place = rng.integers(0, ends[-1], n)
    row = np.searchsorted(ends, place, side="right")
    frame = place - (ends - halves["n_frames"].to_numpy())[row] + halves["first_frame"].to_numpy()[row]
    return pd.DataFrame({"half": halves["half"].to_numpy()[row], "frame": frame, "slot": ANYONE, "event": False})


def _cycle(pool: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n of a pool: one random order of it after the other."""
    rounds = -(-n // len(pool)) if n else 0
    return np.concatenate([pool[:0], *(rng.permutation(pool) for _ in range(rounds))])[:n]


def _starts(drawn: pd.DataFrame, halves: pd.DataFrame, settings: ClipSettings, rng: np.random.Generator) -> np.ndarray:
    """First frames; near an end of the half the offset gives way."""
    low, high = settings.event_offset
    start = drawn["frame"].to_numpy() - rng.integers(low, high, len(drawn), endpoint=True)
    half = halves.set_index("half").loc[drawn["half"]]
    first = half["first_frame"].to_numpy()
    return start.clip(first, first + half["n_frames"].to_numpy() - settings.frames)

"""Matches that are played and tracked, but not rendered: a hundredth of the work, for what needs no pictures.

Start at :func:`play_unfilmed`.
"""

from __future__ import annotations

import numpy as np

from footpass_lib.data.half import TacticalHalf, dense_half
from footpass_lib.data.known import KnownHalf
from footpass_lib.schema import N_SLOTS, FootpassError
from footpass_lib.synthetic.play.played import MOVE_ID, Play
from footpass_lib.synthetic.production import Job, TrackedHalf, track_match

_FIRST_GESTURE = MOVE_ID["feint"]  # this move and those after it belong to no event


def play_unfilmed(job: Job) -> list[TrackedHalf]:
    """Both halves of a match, with the very rows that ``production.make_match`` writes for this job."""
    return list(track_match(job)[2])


def as_known(half: TrackedHalf) -> KnownHalf:
    """The half as arrays over slots and frames, with its gestures and its ball."""
    return known_half(half.play, dense_half(half.rows, half.play.half))


def known_half(play: Play, tactical: TacticalHalf) -> KnownHalf:
    """A half of a table with what its play says; FootpassError if the table is of another play."""
    found = tactical.first_frame, tactical.class_id
    class_id = np.zeros((N_SLOTS, play.n_frames), np.uint8)
    frame, player = play.events["frame"].to_numpy(), play.events["player"].to_numpy()
    class_id[play.slot[frame, player], frame] = play.events["class"]
    if found[0] != play.first_frame or not np.array_equal(found[1], class_id):
        raise FootpassError(
            f"{tactical.half}: the table has {np.count_nonzero(found[1])} events in {tactical.n_frames} frames from "
            f"{found[0]}; expected the {len(frame)} of the play in {play.n_frames} frames from {play.first_frame}"
        )
    return KnownHalf(tactical, gestures(play), play.ball[:, :2])


def gestures(play: Play) -> np.ndarray:
    """Index and slot of the look-alike moves, int64 (G, 2) by index: the frames in which their phase comes to 0."""
    begun = (play.move >= _FIRST_GESTURE) & (play.phase >= 0)  # (T, P)
    begun[1:] &= ~begun[:-1]
    index, player = np.nonzero(begun & (play.slot >= 0))
    return np.stack([index, play.slot[index, player]], axis=1).astype(np.int64)

"""What a replay learns of a detector, from its predictions on matches whose events are known.

Every detection near an event is an *answer* to one of them: of its class or another, of its player or another, early
or late; an event may have any number of answers. What is seen far from all events is said *at rest*. That is kept as
one long tape, on which bursts of false alarms stay together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from footpass_lib.events.near import near_rows
from footpass_lib.events.playbyplay import Events
from footpass_lib.events.timeline import COLUMNS, Timeline, make_timeline, sort_by_time
from footpass_lib.replay.scene import Scene, describe_scene, quiet_stretches
from footpass_lib.schema import FootpassError

REACH = 50  # frames: what is farther from all events is said at rest
ACTOR, LAST, NEXT, OTHER = range(4)  # whom a detection names: the actor, the one before or after, someone else
_STRANGER = {"class": 15, "player": 30}  # frames that another class, another player are worth


@dataclass(frozen=True, eq=False)
class DetectorReplay:
    """A detector's answers to the E events of ``scene``, and its tape.

    ``answers``, sorted by ``event``, has ``lag`` (frames after the event), ``class``, ``score``, ``whom``, ``mate``
    (whether the named player is of the actor's team) and ``player`` (a number); those of event e begin at
    ``first[e]``, shape (E + 1,). ``tape``, sorted by ``time`` (frames, 0 to below ``tape_frames``), has ``class``,
    ``score`` and ``player``.
    """

    scene: Scene
    answers: pd.DataFrame
    first: np.ndarray
    tape: pd.DataFrame
    tape_frames: int

    @property
    def fitted_on(self) -> tuple[str, ...]:
        """Halves whose labels were used."""
        return self.scene.halves

    @property
    def right(self) -> np.ndarray:
        """Which answers name the class and the player of their event, in time or not, bool (A,)."""
        same = self.answers["class"].to_numpy() == self.scene.line.class_id[self.answers["event"]]
        return same & (self.answers["whom"].to_numpy() == ACTOR)


def fit_replay(detections: Events, truth: Events) -> DetectorReplay:
    """Learn how a detector answers the events of a ground truth; its predictions of other halves are not looked at.

    What it says before the first event of a half and after the last, farther than ``REACH``, is left out. FootpassError
    if there is no event, a half has no predictions, or the ground truth lacks the fields box and replay.
    """
    if not len(truth):
        raise FootpassError("replay: the ground truth has no event to learn from")
    if missing := sorted(set(truth.halves) - set(detections.halves)):
        raise FootpassError(f"replay: {missing[0]}: expected predictions of every half that is learned from")
    scene = describe_scene(truth)
    made = sort_by_time(detections.select(truth.halves).table)
    line = make_timeline(pd.concat([scene.table[COLUMNS], made[COLUMNS]], ignore_index=True))  # one numbering for both
    n, score = len(scene), made["score"].to_numpy(float)
    event = attach(line.part(slice(None, n)), line.part(slice(n, None)))
    near = event >= 0
    answers = _answers(scene, line, np.flatnonzero(near) + n, event[near]).assign(score=score[near])
    answers = answers.sort_values(["event", "lag", "score"], ignore_index=True)
    first = np.searchsorted(answers["event"].to_numpy(), np.arange(n + 1))
    tape, frames = _tape(scene.line, line.part(np.flatnonzero(~near) + n), score[~near])
    return DetectorReplay(scene, answers, first, tape, frames)


def attach(events: Timeline, said: Timeline) -> np.ndarray:
    """The event that each detection speaks of, shape (detections,), -1 where none is within ``REACH`` frames.

    It is the nearest one, if another class and another player are counted as so many frames more. Events are sorted.
    """
    i, j = near_rows(events.time, said.time, REACH)
    cost = np.abs(said.time[i] - events.time[j]) + _STRANGER["class"] * (said.class_id[i] != events.class_id[j])
    cost = cost + _STRANGER["player"] * (said.player[i] != events.player[j])
    order = np.lexsort((j, cost, i))
    asked, best = np.unique(i[order], return_index=True)
    event = np.full(len(said), -1, np.int64)
    event[asked] = j[order][best]
    return event


def _answers(scene: Scene, line: Timeline, i: np.ndarray, j: np.ndarray) -> pd.DataFrame:
    """Rows ``i`` of the common timeline as answers to the events ``j``."""
    named = [line.player[i] == line.player[j]]
    named += [(other >= 0) & (line.player[i] == line.player[other]) for other in (scene.last[j], scene.next[j])]
    columns = {"event": j, "lag": line.time[i] - line.time[j], "class": line.class_id[i]}
    columns |= {"whom": np.select(named, (ACTOR, LAST, NEXT), OTHER), "mate": line.team[i] == line.team[j]}
    return pd.DataFrame(columns | {"player": line.player[i]})


def _tape(events: Timeline, said: Timeline, score: np.ndarray) -> tuple[pd.DataFrame, int]:
    """All stretches at rest one after the other, and their frames together."""
    _, start, frames = quiet_stretches(events, REACH)
    place = np.cumsum(frames) - frames
    stretch = np.searchsorted(start, said.time, side="right") - 1
    since = said.time - start[stretch] if len(start) else np.zeros(len(said), np.int64)
    inside = (stretch >= 0) & (since < frames[stretch]) if len(start) else np.zeros(len(said), bool)
    time = (place[stretch] + since)[inside] if len(start) else np.zeros(0, np.int64)
    columns = {"class": said.class_id, "score": score, "player": said.player}
    tape = pd.DataFrame({"time": time} | {name: values[inside] for name, values in columns.items()})
    return tape.sort_values(["time", "class", "score"], ignore_index=True), int(frames.sum())

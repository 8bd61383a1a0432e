"""What happens in a half, before it is known who does it: classes, teams, frames, and where each event can take place.

The classes follow the real transition table (tilted by the rarity), the gaps its quantiles. Places are boxes: the part
of the pitch that suits the class, cut down to what a ball or a running player can reach from the event before. A
second pass from the end takes away the places from which the next event cannot be reached, so that whoever plays the
half from the front never gets stuck.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footpass_lib.schema import FPS, PITCH
from footpass_lib.synthetic.play.rules import (
    BALL_SPEED,
    BLOCK_SPEED,
    CENTRE,
    MATE,
    OPPONENT,
    RESTARTS,
    SAME,
    Act,
    PlaySettings,
    carry_reach,
    turn,
)  # fmt: skip
from footpass_lib.synthetic.play.transitions import QUANTILES, Calibration, class_weights, load_calibration

GOAL_SHARE = 0.33  # of the shots that are followed by a restart of the other team


@dataclass(frozen=True)
class Script:
    """N events in order of time.

    Attributes
    ----------
    frame, label, team : (N,) int
        Frame within the half, class id, team 0 or 1.
    relation : (N,) int
        ``SAME``, ``MATE`` or ``OPPONENT`` of the actor before.
    restart : tuple of str
        Kind of restart, empty while the ball is in play.
    low, high : (N, 2) float
        Corners of the box on the pitch where the event can take place, metres.
    reach : (N, 2) float
        How far the place may lie from that of the event before, metres along x and y.
    """

    frame: np.ndarray
    label: np.ndarray
    team: np.ndarray
    relation: np.ndarray
    restart: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    reach: np.ndarray


@dataclass(frozen=True)
class _Step:
    frame: int
    label: int
    team: int
    relation: int
    restart: str
    low: np.ndarray
    high: np.ndarray
    reach: np.ndarray


def draw_script(n_frames: int, kick_off_team: int, rng: np.random.Generator, settings: PlaySettings) -> Script:
    """Draw the events of a half of ``n_frames`` frames that opens with a kick-off of ``kick_off_team``."""
    table = load_calibration()
    chances = _transition_chances(table, settings)
    centre = CENTRE
    first = int(rng.integers(25, 50))
    steps = [_Step(first, Act.PASS, kick_off_team, OPPONENT, "kick-off", centre, centre, np.full(2, np.inf))]
    while True:
        rows, odds = chances[steps[-1].label]
        step = _next_step(steps[-1], table, int(rng.choice(rows, p=odds)), rng, settings)
        if step.frame >= n_frames - 15:
            break
        steps.append(step)
    low, high = _reachable_later(steps)
    return Script(
        np.array([step.frame for step in steps]),
        np.array([step.label for step in steps]),
        np.array([step.team for step in steps]),
        np.array([step.relation for step in steps]),
        tuple(step.restart for step in steps),
        low,
        high,
        np.array([step.reach for step in steps]),
    )


def _transition_chances(table: Calibration, settings: PlaySettings) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Per source class: the rows of the table, and their probabilities under the rarity tilt."""
    weight = table.count * np.array(class_weights(settings.rarity, settings.class_mix))[table.target]
    chances = {}
    for label in range(1, 9):
        rows = np.flatnonzero(table.source == label)
        chances[label] = rows, weight[rows] / weight[rows].sum()
    return chances


def _next_step(before: _Step, table: Calibration, row: int, rng: np.random.Generator, settings: PlaySettings) -> _Step:
    label, relation = int(table.target[row]), int(table.relation[row])
    team = before.team if relation in (SAME, MATE) else 1 - before.team
    if table.dead[row]:
        quantile = rng.random()
        return _restart(before, label, team, relation, table.gap[row], quantile, rng, settings)
    for _ in range(4):
        gap = round(max(1, _quantile(table.gap[row], rng.random()) / settings.tempo))
        zone = _zone(before, label, team, relation, rng)
        step = _try_step(before, gap, label, team, relation, zone)
        if step is not None:
            return step
    # Too far whatever the draw: the event waits until the ball can have got there.
    while (step := _try_step(before, gap, label, team, relation, zone)) is None:
        gap += 3
    return step


def _quantile(gaps: np.ndarray, level: float) -> float:
    return float(np.interp(100 * level, QUANTILES, gaps))


def _try_step(before: _Step, gap: int, label: int, team: int, relation: int, zone: np.ndarray) -> _Step | None:
    """The event at this gap, or None if no place of its zone can be reached in the time."""
    seconds = gap / FPS
    if relation == SAME or label == Act.TACKLE:
        metres = carry_reach(seconds)
    elif label == Act.BLOCK:
        metres = BLOCK_SPEED * seconds
    else:
        metres = BALL_SPEED[before.label].most * seconds
    reach = metres * np.array([0.8, 0.6])
    low, high = np.maximum(before.low - reach, zone[0]), np.minimum(before.high + reach, zone[1])
    if (low > high).any():
        return None
    return _Step(before.frame + gap, label, team, relation, "", low, high, reach)


def _on_pitch(team: int, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """Box (2, 2) on the pitch from corners in the team's own frame."""
    return np.sort(turn(np.array([low, high]), team), axis=0)


def _zone(before: _Step, label: int, team: int, relation: int, rng: np.random.Generator) -> np.ndarray:
    """Box (2, 2) = (low, high) where an event with the ball in play belongs."""
    side = rng.random() < 0.5
    if label == Act.CROSS:
        return _on_pitch(team, (80, 2), (102, 11)) if side else _on_pitch(team, (80, 57), (102, 66))
    if before.label == Act.CROSS and label != Act.BLOCK:  # into the box
        corners = ((90, 20), (100.5, 48)) if label == Act.SHOT else ((90, 16), (103.5, 52))
        return _on_pitch(before.team, *corners)
    if label == Act.SHOT:
        return _on_pitch(team, (79, 20), (100.5, 48))
    if before.label == Act.SHOT and label == Act.BLOCK:
        return _on_pitch(before.team, (79, 21), (104, 47))
    if before.label == Act.SHOT:
        keeper = relation == OPPONENT and label in (Act.DRIVE, Act.PASS)
        return _on_pitch(before.team, *(((99, 29), (104, 39)) if keeper else ((90, 22), (103, 46))))
    return np.array([[2.0, 2.0], [103.0, 66.0]])


def _restart(
    before: _Step,
    label: int,
    team: int,
    relation: int,
    gaps: np.ndarray,
    quantile: float,
    rng: np.random.Generator,
    settings: PlaySettings,
) -> _Step:
    """The event that puts a dead ball back into play."""
    for kind in _restart_kinds(before, label, relation, quantile, rng):
        least = RESTARTS[kind].least
        gap = _quantile(gaps, quantile)
        gap = round(max(least, least + (gap / settings.tempo - least) * settings.dead_time))
        zone, reach = _restart_zone(kind, before, label, team, rng), np.array(RESTARTS[kind].near)
        low, high = np.maximum(before.low - reach, zone[0]), np.minimum(before.high + reach, zone[1])
        if (low <= high).all():
            return _Step(before.frame + gap, label, team, relation, kind, low, high, reach)
    return _Step(before.frame + gap, label, team, relation, kind, zone[0], zone[1], np.full(2, np.inf))


def _restart_kinds(
    before: _Step, label: int, relation: int, quantile: float, rng: np.random.Generator
) -> tuple[str, ...]:
    """Kinds of restart to try in turn; the last one is taken if none is near enough."""
    if label == Act.THROW_IN:
        return ("throw-in",) * 4
    if label == Act.CROSS:
        return ("corner",) * 4 if rng.random() < 0.85 else ("free-kick", "corner", "corner")
    if label == Act.SHOT:
        return ("free-kick",)
    if before.label == Act.SHOT and relation == OPPONENT:
        return ("kick-off",) if quantile > 1 - GOAL_SHARE else ("goal-kick",)
    if before.label in (Act.PASS, Act.CROSS, Act.HEADER) and relation == OPPONENT and rng.random() < 0.5:
        return ("goal-kick", "free-kick")
    return ("free-kick",)


def _restart_zone(kind: str, before: _Step, label: int, team: int, rng: np.random.Generator) -> np.ndarray:
    far = before.low[1] + before.high[1] < PITCH[1]  # the ball goes out on the nearer side as a rule
    side = (rng.random() < 0.8) == (far if kind == "throw-in" or team == 0 else not far)
    if kind == "throw-in":
        y = 0.0 if side else 68.0
        return np.array([[3.0, y], [102.0, y]])
    if kind == "corner":
        y = 0.4 if side else 67.6
        return _on_pitch(team, (104.6, y), (104.6, y))
    if kind == "goal-kick":
        return _on_pitch(team, (5.0, 29.0), (5.5, 39.0))
    if kind == "kick-off":
        return np.array([CENTRE, CENTRE])
    if label == Act.CROSS:
        return _on_pitch(team, (74, 3), (98, 12)) if side else _on_pitch(team, (74, 56), (98, 65))
    if label == Act.SHOT:
        return _on_pitch(team, (77, 22), (86, 46))
    return np.array([[6.0, 4.0], [99.0, 64.0]])


def _reachable_later(steps: list[_Step]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 2), (N, 2) without the places from which the rest of the script cannot be played."""
    low, high = np.array([step.low for step in steps]), np.array([step.high for step in steps])
    for i in range(len(steps) - 2, -1, -1):
        reach = steps[i + 1].reach
        low[i] = np.maximum(low[i], low[i + 1] - reach)
        high[i] = np.minimum(high[i], high[i + 1] + reach)
    return low, high

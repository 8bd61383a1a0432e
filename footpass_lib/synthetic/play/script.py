"""What happens in a half, before it is known who does it: classes, teams, frames, and where each event can take place.

The classes follow the real transition table (tilted by the rarity), the gaps its quantiles. Places are boxes: the part
of the pitch that suits the class, cut down to what a ball or a running player can reach from the event before. A
second pass from the end takes away the places from which the next event cannot be reached, so that whoever plays the
half from the front never gets stuck.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from footpass_lib.schema import FPS, PITCH
from footpass_lib.synthetic.play import rules, transitions
from footpass_lib.synthetic.play.rules import BALL_SPEED, CENTRE, RESTARTS, Act, PlaySettings, turn
from footpass_lib.synthetic.play.transitions import MATE, OPPONENT, SAME, Transitions

GOAL_SHARE = 0.33  # of the shots that are followed by a restart of the other team


class Beat(NamedTuple):
    """One event of the script, before its player is known."""

    frame: int  # within the half
    label: int  # class id
    team: int
    relation: int  # SAME, MATE or OPPONENT of the actor before
    restart: str  # kind of restart; empty while the ball is in play
    low: np.ndarray  # (2,) and high (2,): corners of the box on the pitch where it can take place, metres
    high: np.ndarray
    reach: np.ndarray  # (2,) how far it may lie from the event before, metres along x and y


def draw_script(n_frames: int, kick_off_team: int, rng: np.random.Generator, settings: PlaySettings) -> list[Beat]:
    """Draw the events of a half of ``n_frames`` frames, in order, that opens with a kick-off of ``kick_off_team``."""
    table = transitions.load_transitions()
    chances = _transition_chances(table, settings)
    first = int(rng.integers(25, 50))
    script = [Beat(first, int(Act.PASS), kick_off_team, OPPONENT, "kick-off", CENTRE, CENTRE, np.full(2, np.inf))]
    while True:
        rows, odds = chances[script[-1].label]
        beat = _next_beat(script[-1], table, int(rng.choice(rows, p=odds)), rng, settings)
        if beat.frame >= n_frames - 15:
            return _reachable_later(script)
        script.append(beat)


def _transition_chances(table: Transitions, settings: PlaySettings) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Per source class: the rows of the table, and their probabilities under the rarity tilt."""
    weight = table.count * np.array(transitions.rarity_weights(settings.rarity, settings.class_mix))[table.target]
    rows = {int(label): np.flatnonzero(table.source == label) for label in Act}
    return {label: (own, weight[own] / weight[own].sum()) for label, own in rows.items()}


def _next_beat(before: Beat, table: Transitions, row: int, rng: np.random.Generator, settings: PlaySettings) -> Beat:
    relation = int(table.relation[row])
    team = before.team if relation in (SAME, MATE) else 1 - before.team
    beat = before._replace(label=int(table.target[row]), team=team, relation=relation)  # not moved on yet
    if table.dead[row]:
        return _restart(before, beat, table.gap[row], rng, settings)
    for _ in range(4):
        gap = round(max(1, _quantile(table.gap[row], rng.random()) / settings.tempo))
        zone = _zone(before, beat, rng)
        if placed := _place(beat, gap, "", zone, _reach(before, beat, gap)):
            return placed
    # Too far whatever the draw: the event waits until the ball can have got there.
    while (placed := _place(beat, gap, "", zone, _reach(before, beat, gap))) is None:
        gap += 3
    return placed


def _quantile(gaps: np.ndarray, level: float) -> float:
    return float(np.interp(100 * level, transitions.QUANTILES, gaps))


def _place(beat: Beat, gap: int, restart: str, zone: np.ndarray, reach: np.ndarray) -> Beat | None:
    """The event moved on by ``gap`` frames, or None if no place of its zone (2, 2) is in reach (2,)."""
    low, high = np.maximum(beat.low - reach, zone[0]), np.minimum(beat.high + reach, zone[1])
    if (low > high).any():
        return None
    return beat._replace(frame=beat.frame + gap, restart=restart, low=low, high=high, reach=reach)


def _reach(before: Beat, beat: Beat, gap: int) -> np.ndarray:
    """Metres (2,) along x and y that the ball makes in the time, in play."""
    seconds = gap / FPS
    if beat.relation == SAME or beat.label == Act.TACKLE:
        metres = rules.carry_reach(seconds)
    elif beat.label == Act.BLOCK:
        metres = rules.BLOCK_SPEED * seconds
    else:
        metres = BALL_SPEED[before.label].most * seconds
    return metres * np.array([0.8, 0.6])


def _on_pitch(team: int, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """Box (2, 2) on the pitch from corners in the team's own frame."""
    return np.sort(turn(np.array([low, high]), team), axis=0)


def _zone(before: Beat, beat: Beat, rng: np.random.Generator) -> np.ndarray:
    """Box (2, 2) = (low, high) where an event with the ball in play belongs."""
    label, left = beat.label, rng.random() < 0.5
    if label == Act.CROSS:
        return _on_pitch(beat.team, (80, 2), (102, 11)) if left else _on_pitch(beat.team, (80, 57), (102, 66))
    if before.label == Act.CROSS and label != Act.BLOCK:  # into the box
        corners = ((90, 20), (100.5, 48)) if label == Act.SHOT else ((90, 16), (103.5, 52))
        return _on_pitch(before.team, *corners)
    if label == Act.SHOT:
        return _on_pitch(beat.team, (79, 20), (100.5, 48))
    if before.label == Act.SHOT and label == Act.BLOCK:
        return _on_pitch(before.team, (79, 21), (104, 47))
    if before.label == Act.SHOT:
        keeper = beat.relation == OPPONENT and label in (Act.DRIVE, Act.PASS)
        return _on_pitch(before.team, *(((99, 29), (104, 39)) if keeper else ((90, 22), (103, 46))))
    return np.array([[2.0, 2.0], [103.0, 66.0]])


def _restart(before: Beat, beat: Beat, gaps: np.ndarray, rng: np.random.Generator, settings: PlaySettings) -> Beat:
    """The event that puts a dead ball back into play."""
    quantile = rng.random()
    for kind in _restart_kinds(before, beat, quantile, rng):
        least = RESTARTS[kind].least
        gap = round(max(least, least + (_quantile(gaps, quantile) / settings.tempo - least) * settings.dead_time))
        zone = _restart_zone(kind, before, beat, rng)
        if placed := _place(beat, gap, kind, zone, np.array(RESTARTS[kind].near)):
            return placed
    return _place(beat, gap, kind, zone, np.full(2, np.inf))


def _restart_kinds(before: Beat, beat: Beat, quantile: float, rng: np.random.Generator) -> tuple[str, ...]:
    """Kinds of restart to try in turn; the last one is taken if none is near enough."""
    if beat.label == Act.THROW_IN:
        return ("throw-in",) * 4
    if beat.label == Act.CROSS:
        return ("corner",) * 4 if rng.random() < 0.85 else ("free-kick", "corner", "corner")
    if beat.label != Act.SHOT and beat.relation == OPPONENT:
        if before.label == Act.SHOT:
            return ("kick-off",) if quantile > 1 - GOAL_SHARE else ("goal-kick",)
        if before.label in (Act.PASS, Act.CROSS, Act.HEADER) and rng.random() < 0.5:
            return ("goal-kick", "free-kick")
    return ("free-kick",)


def _restart_zone(kind: str, before: Beat, beat: Beat, rng: np.random.Generator) -> np.ndarray:
    team = beat.team
    far = before.low[1] + before.high[1] < PITCH[1]  # the ball goes out on the nearer side as a rule
    left = (rng.random() < 0.8) == (far if kind == "throw-in" or team == 0 else not far)
    if kind == "throw-in":
        y = 0.0 if left else 68.0
        return np.array([[3.0, y], [102.0, y]])
    if kind == "corner":
        y = 0.4 if left else 67.6
        return _on_pitch(team, (104.6, y), (104.6, y))
    if kind == "goal-kick":
        return _on_pitch(team, (5.0, 29.0), (5.5, 39.0))
    if kind == "kick-off":
        return np.array([CENTRE, CENTRE])
    if beat.label == Act.CROSS:
        return _on_pitch(team, (74, 3), (98, 12)) if left else _on_pitch(team, (74, 56), (98, 65))
    if beat.label == Act.SHOT:
        return _on_pitch(team, (77, 22), (86, 46))
    return np.array([[6.0, 4.0], [99.0, 64.0]])


def _reachable_later(script: list[Beat]) -> list[Beat]:
    """The script without the places from which its rest cannot be played."""
    script = list(script)
    for i in range(len(script) - 2, -1, -1):
        beat, after = script[i], script[i + 1]
        low, high = np.maximum(beat.low, after.low - after.reach), np.minimum(beat.high, after.high + after.reach)
        script[i] = beat._replace(low=low, high=high)
    return script

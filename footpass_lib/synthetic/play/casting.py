"""Who plays each event of the script, and where exactly: the players who stand well are given the ball."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from footpass_lib.schema import FPS, PITCH
from footpass_lib.synthetic.play.formation import N_BODIES, TEAM_OF_BODY, opening_stands, shape
from footpass_lib.synthetic.play.movement import Key
from footpass_lib.synthetic.play.rules import (
    BALL_SPEED,
    CENTRE,
    MATE,
    OPPONENT,
    RESTARTS,
    SAME,
    Act,
    carry_reach,
    dead_seconds,
)  # fmt: skip
from footpass_lib.synthetic.play.script import Script

RUN_SPEED = 4.8  # m/s that a player can be counted on to average over a run
FORESIGHT = 4.0  # seconds before an event from which its player may have been on his way
KEEPERS = (0, 11)
BENCH = (PITCH[0] / 2, PITCH[1] + 0.5)  # where substitutes come on


@dataclass(frozen=True)
class Change:
    """A change due from a frame on: the body leaves for a substitute's jersey, or changes roles with ``partner``."""

    frame: int
    body: int
    substitute: int | None = None
    partner: int | None = None


@dataclass
class Cast:
    """The script with its players; lists grow event by event.

    ``frame`` are the frames of the script, later where a player needs longer; ``handovers`` are (frame, body, jersey)
    of the substitute who takes the body over, ``swaps`` (frame, body, body) of two bodies that exchange roles.
    """

    frame: list[int] = field(default_factory=list)
    place: list[np.ndarray] = field(default_factory=list)
    actor: list[int] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    handovers: list[tuple[int, int, int]] = field(default_factory=list)
    swaps: list[tuple[int, int, int]] = field(default_factory=list)


class Caster:
    """Plays the script from the front, keeping track of where each body was last needed."""

    def __init__(self, script: Script, places: np.ndarray, changes: list[Change], rng: np.random.Generator) -> None:
        self.script, self.places, self.rng = script, places.copy(), rng
        self.pending = list(changes)
        self.cast = Cast()
        self.delay = 0
        self.last_frame = np.full(N_BODIES, -(10**6))
        self.last_place = np.zeros((N_BODIES, 2))
        self.stand = opening_stands(places, int(script.team[0]))  # where bodies are at the event before
        self.busy_until = np.full(N_BODIES, -1)

    def run(self, n_frames: int) -> Cast:
        """Cast every event that still fits into ``n_frames``."""
        for i in range(len(self.script.frame)):
            if not self._cast(i, n_frames):
                break
        return self.cast

    def _cast(self, i: int, n_frames: int) -> bool:
        script, cast = self.script, self.cast
        frame = int(script.frame[i]) + self.delay
        low, high = self._box(i)
        if i > 0 and script.restart[i]:
            self._make_changes(cast.frame[-1], n_frames)
        stands = self._stands(i, frame, low, high)
        if script.restart[i]:
            actor, place = self._cast_restart(i, frame, low, high, stands)
        elif script.relation[i] == SAME:
            actor, place = cast.actor[-1], self._carry(i, frame, low, high)
        else:
            actor, place = self._cast_receiver(i, frame, low, high, stands)
        late = 0 if i == 0 else self._late(i, actor, place, frame)
        self.delay += late
        frame += late
        if frame >= n_frames - 15:
            return False
        self._commit(i, actor, place, frame, stands)
        return True

    def _box(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Where event i can take place: corners (2,), (2,) of its box, cut down to what is in reach by now."""
        low, high = self.script.low[i], self.script.high[i]
        if i == 0:
            return low, high
        origin, reach = self.cast.place[-1], self.script.reach[i]
        nearest = np.clip(origin, low, high)  # all that is left where a blocked shot has come from off the script
        low, high = np.maximum(low, origin - reach), np.minimum(high, origin + reach)
        return np.minimum(low, nearest), np.maximum(high, nearest)

    def _stands(self, i: int, frame: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Where each body without a job has got to by now, (22, 2), on its way to its anchor."""
        team = self.script.team[i if self.script.restart[i] else max(i - 1, 0)]
        ball = np.clip(self.cast.place[-1], low, high) if self.cast.place else CENTRE
        home = shape(ball[None], np.array([0.85 if team == 0 else 0.15]), self.places[None])[0]
        seconds = (frame - self.cast.frame[-1]) / FPS if self.cast.frame else 0.0
        gap = home - self.stand
        distance = np.linalg.norm(gap, axis=1, keepdims=True)
        return self.stand + gap * np.minimum(1 - np.exp(-seconds / 1.5), 5 * seconds / np.maximum(distance, 0.1))

    def _cast_receiver(
        self, i: int, frame: int, low: np.ndarray, high: np.ndarray, stands: np.ndarray
    ) -> tuple[int, np.ndarray]:
        """Body and place of an event with the ball in play by another player than the one before."""
        script, before = self.script, self.script.label[i - 1]
        label, origin = script.label[i], self.cast.place[-1]
        seconds = (frame - self.cast.frame[-1]) / FPS
        aim = BALL_SPEED[before].usual * seconds
        if label == Act.TACKLE:
            spots = np.tile(self._carry(i, frame, low, high), (N_BODIES, 1))
            length_cost = np.zeros(N_BODIES)
        elif label == Act.BLOCK or (before == Act.SHOT and label == Act.HEADER):
            spots = np.tile(self._in_the_way(i, seconds, low, high), (N_BODIES, 1))
            length_cost = np.zeros(N_BODIES)
        else:
            spots = self._meeting_points(stands, origin, aim, low, high)
            length = np.linalg.norm(spots - origin, axis=1)
            length_cost = np.abs(np.log(np.maximum(length, 1.0) / max(aim, 1.0)))
        run = np.linalg.norm(spots - stands, axis=1)
        forward = (spots[:, 0] - origin[0]) * np.where(TEAM_OF_BODY == 0, 1, -1)
        score = -run / 3.5 - 1.2 * length_cost + 0.03 * forward * (script.relation[i] == MATE)
        score -= 2.0 * self._shortfall(spots, frame)
        score += self._keeper_score(i, spots)
        actor = self._choose(i, frame, score)
        return actor, spots[actor]

    def _choose(self, i: int, frame: int, score: np.ndarray) -> int:
        """Body with a high score (22,) among those who may play event i."""
        allowed = (self.script.team[i] == TEAM_OF_BODY) & (self.busy_until <= frame)
        if i > 0 and self.script.relation[i] == MATE:
            allowed[self.cast.actor[-1]] = False
        return int(np.argmax(np.where(allowed, score + self.rng.gumbel(size=N_BODIES), -np.inf)))

    def _meeting_points(
        self, stands: np.ndarray, origin: np.ndarray, aim: float, low: np.ndarray, high: np.ndarray
    ) -> np.ndarray:
        """Where each body would meet the ball, (22, 2): near its stand, at a distance that suits the time of flight."""
        wanted = stands + self.rng.normal(0, 1.5, (N_BODIES, 2))
        ray = wanted - origin
        length = np.linalg.norm(ray, axis=1, keepdims=True)
        suited = np.clip(length, max(0.5 * aim, 2.5), max(1.4 * aim, 4.0))
        step = np.clip(suited - length, -8, 8)
        return np.clip(wanted + ray / np.maximum(length, 0.1) * step, low, high)

    def _carry(self, i: int, frame: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Where a player with the ball gets to (2,): mostly towards the goal that the team attacks."""
        origin = self.cast.place[-1]
        seconds = (frame - self.cast.frame[-1]) / FPS
        team = self.script.team[i - 1]
        to_goal = np.array([PITCH[0] * (1 - team), PITCH[1] / 2]) - origin
        angle = np.arctan2(to_goal[1], to_goal[0]) + self.rng.normal(0, 0.8)
        pace = self.rng.uniform(0.35, 0.75) * (0.3 if self.cast.actor[-1] in KEEPERS else 1.0)
        metres = min(pace * carry_reach(seconds), 22.0)
        return np.clip(origin + metres * np.array([np.cos(angle), np.sin(angle)]), low, high)

    def _in_the_way(self, i: int, seconds: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Point (2,) on the path of the strike before that stops the ball; within the box after a pass."""
        origin, team, label = self.cast.place[-1], self.script.team[i - 1], self.script.label[i - 1]
        target = np.array([PITCH[0] * (1 - team), PITCH[1] / 2])
        if label == Act.CROSS:
            target[0] += -9.0 if team == 0 else 9.0
        ray = target - origin
        angle = np.arctan2(ray[1], ray[0]) + (self.rng.normal(0, 0.7) if label == Act.PASS else 0.0)
        furthest = min(np.clip(16 * seconds, 0.9, 22.0), 0.8 * np.linalg.norm(ray))
        metres = furthest * np.linspace(1, 0.7, 7)[:, None]
        path = origin + metres * np.array([np.cos(angle), np.sin(angle)])  # (7, 2), the furthest point first
        outside = np.linalg.norm(path - np.clip(path, low, high), axis=1)
        best = path[np.argmin(outside)]
        return np.clip(best, low, high) if label == Act.PASS else best

    def _keeper_score(self, i: int, spots: np.ndarray) -> np.ndarray:
        """Goalkeepers (22,): only near their goal and only with the feet or hands; they take what comes of a shot."""
        score = np.zeros(N_BODIES)
        label = self.script.label[i]
        for keeper in KEEPERS:
            x = spots[keeper, 0] if TEAM_OF_BODY[keeper] == 0 else PITCH[0] - spots[keeper, 0]
            at_home = x < 13 and abs(spots[keeper, 1] - PITCH[1] / 2) < 17
            score[keeper] = -1.0 if at_home and label in (Act.DRIVE, Act.PASS) else -1e6
            gathers = self.script.label[i - 1] in (Act.SHOT, Act.CROSS) and self.script.relation[i] == OPPONENT
            if gathers and at_home and label in (Act.DRIVE, Act.PASS):
                score[keeper] = 6.0 if self.script.label[i - 1] == Act.SHOT else 2.0
        return score

    def _shortfall(self, spots: np.ndarray, frame: int) -> np.ndarray:
        """Metres by which each body would come too late from where it was last needed or has got to, (22,)."""
        before = self.cast.frame[-1] if self.cast.frame else -FPS
        setting_out = np.maximum(self.last_frame, max(before - FORESIGHT * FPS, 0))
        seconds = np.maximum((frame - setting_out) / FPS - 0.5, 0)
        origin = np.where((self.last_frame >= before)[:, None], self.last_place, self.stand)
        metres = np.linalg.norm(spots - origin, axis=1)
        since_needed = np.maximum((frame - self.last_frame) / FPS - 0.5, 0)
        metres_needed = np.linalg.norm(spots - self.last_place, axis=1)
        return np.maximum(np.maximum(metres - RUN_SPEED * seconds, metres_needed - RUN_SPEED * since_needed), 0)

    def _cast_restart(
        self, i: int, frame: int, low: np.ndarray, high: np.ndarray, stands: np.ndarray
    ) -> tuple[int, np.ndarray]:
        """Taker and place of a restart."""
        kind = self.script.restart[i]
        origin = self.cast.place[-1] if self.cast.place else CENTRE
        place = np.clip(origin + self.rng.normal(0, [6.0, 3.0]), low, high)
        score = -np.linalg.norm(stands - place, axis=1) / 4
        score -= 2.0 * self._shortfall(place[None], frame - RESTARTS[kind].ready)
        score[list(KEEPERS)] += 1e3 if kind == "goal-kick" else -1e3
        if kind == "corner":
            score -= 20 * (self.places[:, 0] < 0.2)
        if kind == "kick-off":
            score += 30 * (self.places[:, 0] >= 1.0)
        return self._choose(i, frame, score), place

    def _late(self, i: int, actor: int, place: np.ndarray, frame: int) -> int:
        """Frames that the event must wait for its player, and at a restart for the ball."""
        kind = self.script.restart[i]
        if not kind:
            reach = np.maximum(self.script.reach[i], 1e-6)
            beyond = max(float((np.abs(place - self.cast.place[-1]) / reach).max()) - 1, 0)
            late = beyond * (frame - self.cast.frame[-1])
            if self.script.relation[i] != SAME:
                late = max(late, self._shortfall(place[None], frame)[actor] / RUN_SPEED * FPS)
            return int(np.ceil(late - 1e-6))
        late = self._shortfall(place[None], frame - RESTARTS[kind].ready)[actor] / RUN_SPEED * FPS
        teams = (self.script.team[i - 1], self.script.team[i])
        flight = dead_seconds(kind, self.script.label[i - 1], teams, self.cast.place[-1], place)
        late = max(late, flight * FPS + RESTARTS[kind].hold - (frame - self.cast.frame[-1]))
        return max(0, int(np.ceil(late)))

    def _commit(self, i: int, actor: int, place: np.ndarray, frame: int, stands: np.ndarray) -> None:
        script, cast = self.script, self.cast
        self.stand = stands.copy()
        if script.restart[i] and i > 0:
            self._get_ready(script.restart[i], int(script.team[i]), actor, place, frame)
        elif script.label[i] == Act.TACKLE:  # the player who loses the ball has to be there too
            self._add_key(Key(cast.actor[-1], frame, place + self.rng.normal(0, 0.35, 2), cast.frame[-1]))
        start = cast.frame[-1] if i > 0 and script.relation[i] == SAME else None
        if script.restart[i]:
            start = frame - RESTARTS[script.restart[i]].ready
        self._add_key(Key(actor, frame, place, start))
        cast.frame.append(frame)
        cast.place.append(place)
        cast.actor.append(actor)

    def _get_ready(self, kind: str, team: int, actor: int, place: np.ndarray, frame: int) -> None:
        """The taker stands at the ball, or a run-up away from it, shortly before the restart."""
        back = np.array([-2.0 if team == 0 else 2.0, 0.0])
        if kind == "corner":
            back = np.sign(place - CENTRE) * 1.4
        if kind in ("throw-in", "kick-off"):
            back = back * 0.0
        self._add_key(Key(actor, frame - RESTARTS[kind].ready, place + back))

    def _add_key(self, key: Key) -> None:
        self.cast.keys.append(key)
        self.last_frame[key.body], self.last_place[key.body] = key.frame, key.place
        self.stand[key.body] = key.place

    def _make_changes(self, frame: int, n_frames: int) -> None:
        """Substitutions and exchanges of roles that are due when the ball goes dead."""
        due = [change for change in self.pending if change.frame <= frame]
        for change in due:
            if change.partner is not None:
                a, b = change.body, change.partner
                self.places[[a, b]] = self.places[[b, a]]
                self.cast.swaps.append((frame + 15, a, b))
            elif not self._substitute(change, frame, n_frames):
                continue
            self.pending.remove(change)

    def _substitute(self, change: Change, frame: int, n_frames: int) -> bool:
        body = change.body
        if self.busy_until[body] > frame or self.cast.actor[-1] == body:
            return False
        way = np.linalg.norm(self.stand[body] - BENCH)
        handover = frame + 40 + int(way / 4.5 * FPS)
        if handover > n_frames - 100:
            return False
        spot = np.array(BENCH) + [self.rng.uniform(-4, 4), 0]
        self._add_key(Key(body, handover, spot, frame + 15))
        self.busy_until[body] = handover + 3 * FPS
        self.cast.handovers.append((handover, body, change.substitute))
        return True

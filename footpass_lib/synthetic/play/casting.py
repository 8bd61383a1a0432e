"""Who plays each event of the script, and where exactly: the players who stand well are given the ball."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from footpass_lib.schema import FPS, PITCH
from footpass_lib.synthetic.play.formation import N_BODIES, TEAM_OF_BODY, opening_stands, shape
from footpass_lib.synthetic.play.movement import Key
from footpass_lib.synthetic.play.rules import BALL_SPEED, CENTRE, RESTARTS, Act, carry_reach, dead_seconds
from footpass_lib.synthetic.play.script import Beat
from footpass_lib.synthetic.play.transitions import MATE, OPPONENT, SAME

KEEPERS = (0, 11)
BENCH = (PITCH[0] / 2, PITCH[1] + 0.5)  # where substitutes come on
RUN_SPEED = 4.8  # m/s that a player can be counted on to average over a run
FORESIGHT = 4.0  # seconds before an event from which its player may have been on the way

# An event goes to a body by its score: with Gumbel noise on it, one point more makes a body e times as likely.
METRES_A_POINT = 3.5  # of running to where the body would meet the ball: players who stand near play it
RESTART_METRES_A_POINT = 4.0  # the same at a restart, where there is time to walk
LENGTH_COST = 1.2  # of a way for the ball that is e times longer or shorter than it usually makes in the time
FORWARD_GAIN = 0.03  # a metre towards the goal that a pass to a team-mate gains: attacks get on
LATE_COST = 2.0  # a metre by which the body comes too late: the event would have to wait for it
KEEPER_COST = 1.0  # goalkeepers play on at home only, and less often than others who are as near ...
KEEPER_GATHERS = {Act.SHOT: 6.0, Act.CROSS: 2.0}  # ... but take what comes of an opponent's shot or cross
KEEPER_NEVER = 1e6  # away from home, or with the head
GOAL_KICK_KEEPER = 1e3  # they take all goal kicks, and no other restart
CORNER_BACK_COST = 20.0  # the last line does not take corners
KICK_OFF_FORWARD_GAIN = 30.0  # the foremost players kick off


@dataclass(frozen=True)
class LineUpChange:
    """Due from a frame on: the body leaves for a substitute's jersey, or changes roles with ``partner``."""

    frame: int
    body: int
    substitute: int | None = None
    partner: int | None = None


@dataclass
class Casting:
    """The script with its players; lists grow event by event."""

    beats: list[Beat] = field(default_factory=list)  # as in the script, but later where a player needs longer
    place: list[np.ndarray] = field(default_factory=list)
    actor: list[int] = field(default_factory=list)  # body
    keys: list[Key] = field(default_factory=list)
    handovers: list[tuple[int, int, int]] = field(default_factory=list)  # frame, body, jersey that takes it over
    swaps: list[tuple[int, int, int]] = field(default_factory=list)  # frame, and two bodies that exchange roles


class Caster:
    """Plays the script from the front, keeping track of where each body was last needed."""

    def __init__(
        self, script: list[Beat], places: np.ndarray, changes: list[LineUpChange], rng: np.random.Generator
    ) -> None:
        self.script, self.places, self.rng = script, places.copy(), rng
        self.pending = list(changes)
        self.casting = Casting()
        self.before: Beat | None = None  # the last event that was cast, and its place
        self.origin = CENTRE
        self.delay = 0
        self.last_frame = np.full(N_BODIES, -(10**6))
        self.last_place = np.zeros((N_BODIES, 2))
        self.stand = opening_stands(places, script[0].team)  # where bodies are at the event before
        self.busy_until = np.full(N_BODIES, -1)

    def run(self, n_frames: int) -> Casting:
        """Cast every event that still fits into ``n_frames``."""
        for scripted in self.script:
            beat = self._in_reach(scripted)
            if self.before and beat.restart:
                self._make_changes(self.before.frame, n_frames)
            stands = self._stands(beat)
            if beat.restart:
                actor, place = self._cast_restart(beat, stands)
            elif beat.relation == SAME:
                actor, place = self.casting.actor[-1], self._carry(beat)
            else:
                actor, place = self._cast_receiver(beat, stands)
            late = self._late(beat, actor, place) if self.before else 0
            self.delay += late
            beat = beat._replace(frame=beat.frame + late)
            if beat.frame >= n_frames - 15:
                break
            self.stand = stands.copy()
            self._commit(beat, actor, place)
        return self.casting

    def _in_reach(self, beat: Beat) -> Beat:
        """The event as late as those before, its box cut down to what is in reach by now."""
        beat = beat._replace(frame=beat.frame + self.delay)
        if self.before is None:
            return beat
        nearest = np.clip(self.origin, beat.low, beat.high)  # all that is left where a shot was blocked off the script
        low, high = np.maximum(beat.low, self.origin - beat.reach), np.minimum(beat.high, self.origin + beat.reach)
        return beat._replace(low=np.minimum(low, nearest), high=np.maximum(high, nearest))

    def _since(self, beat: Beat) -> float:
        """Seconds since the event before."""
        return (beat.frame - self.before.frame) / FPS

    def _stands(self, beat: Beat) -> np.ndarray:
        """Where each body without a job has got to by now, (22, 2), on its way to its anchor."""
        if self.before is None:
            return self.stand
        team = beat.team if beat.restart else self.before.team
        ball = np.clip(self.origin, beat.low, beat.high)
        home = shape(ball[None], np.array([0.85 if team == 0 else 0.15]), self.places[None])[0]
        seconds, gap = self._since(beat), home - self.stand
        distance = np.linalg.norm(gap, axis=1, keepdims=True)
        return self.stand + gap * np.minimum(1 - np.exp(-seconds / 1.5), 5 * seconds / np.maximum(distance, 0.1))

    def _cast_receiver(self, beat: Beat, stands: np.ndarray) -> tuple[int, np.ndarray]:
        """Body and place of an event with the ball in play by another player than the one before."""
        length_cost = 0.0
        aim = BALL_SPEED[self.before.label].usual * self._since(beat)
        if beat.label == Act.TACKLE:
            spots = np.tile(self._carry(beat), (N_BODIES, 1))
        elif beat.label == Act.BLOCK or (self.before.label == Act.SHOT and beat.label == Act.HEADER):
            spots = np.tile(self._in_the_way(beat), (N_BODIES, 1))
        else:
            spots = self._meeting_points(beat, stands, aim)
            length = np.linalg.norm(spots - self.origin, axis=1)
            length_cost = np.abs(np.log(np.maximum(length, 1.0) / max(aim, 1.0)))
        run = np.linalg.norm(spots - stands, axis=1)
        forward = (spots[:, 0] - self.origin[0]) * np.where(TEAM_OF_BODY == 0, 1, -1)
        score = -run / METRES_A_POINT - LENGTH_COST * length_cost + FORWARD_GAIN * forward * (beat.relation == MATE)
        score -= LATE_COST * self._shortfall(spots, beat.frame)
        score += self._keeper_score(beat, spots)
        actor = self._choose(beat, score)
        return actor, spots[actor]

    def _choose(self, beat: Beat, score: np.ndarray) -> int:
        """Body with a high score (22,) among those who may play the event."""
        allowed = (beat.team == TEAM_OF_BODY) & (self.busy_until <= beat.frame)
        if beat.relation == MATE:
            allowed[self.casting.actor[-1]] = False
        return int(np.argmax(np.where(allowed, score + self.rng.gumbel(size=N_BODIES), -np.inf)))

    def _meeting_points(self, beat: Beat, stands: np.ndarray, aim: float) -> np.ndarray:
        """Where each body would meet the ball, (22, 2): near its stand, about ``aim`` metres from where it comes."""
        wanted = stands + self.rng.normal(0, 1.5, (N_BODIES, 2))
        ray = wanted - self.origin
        length = np.linalg.norm(ray, axis=1, keepdims=True)
        suited = np.clip(length, max(0.5 * aim, 2.5), max(1.4 * aim, 4.0))
        step = np.clip(suited - length, -8, 8)
        return np.clip(wanted + ray / np.maximum(length, 0.1) * step, beat.low, beat.high)

    def _carry(self, beat: Beat) -> np.ndarray:
        """Where a player with the ball gets to (2,): mostly towards the goal that the team attacks."""
        to_goal = np.array([PITCH[0] * (1 - self.before.team), CENTRE[1]]) - self.origin
        angle = np.arctan2(to_goal[1], to_goal[0]) + self.rng.normal(0, 0.8)
        pace = self.rng.uniform(0.35, 0.75) * (0.3 if self.casting.actor[-1] in KEEPERS else 1.0)
        metres = min(pace * carry_reach(self._since(beat)), 22.0)
        return np.clip(self.origin + metres * np.array([np.cos(angle), np.sin(angle)]), beat.low, beat.high)

    def _in_the_way(self, beat: Beat) -> np.ndarray:
        """Point (2,) on the path of the strike before that stops the ball; within the box after a pass."""
        target = np.array([PITCH[0] * (1 - self.before.team), CENTRE[1]])
        if self.before.label == Act.CROSS:
            target[0] += -9.0 if self.before.team == 0 else 9.0
        ray = target - self.origin
        angle = np.arctan2(ray[1], ray[0]) + (self.rng.normal(0, 0.7) if self.before.label == Act.PASS else 0.0)
        furthest = min(np.clip(16 * self._since(beat), 0.9, 22.0), 0.8 * np.linalg.norm(ray))
        metres = furthest * np.linspace(1, 0.7, 7)[:, None]
        path = self.origin + metres * np.array([np.cos(angle), np.sin(angle)])  # (7, 2), the furthest point first
        inside = np.clip(path, beat.low, beat.high)
        best = np.argmin(np.linalg.norm(path - inside, axis=1))
        return inside[best] if self.before.label == Act.PASS else path[best]

    def _keeper_score(self, beat: Beat, spots: np.ndarray) -> np.ndarray:
        """Goalkeepers (22,): only near their goal and only with the feet or hands; they take what comes of a shot."""
        score = np.zeros(N_BODIES)
        gathers = KEEPER_GATHERS.get(self.before.label) if beat.relation == OPPONENT else None
        for keeper in KEEPERS:
            x = spots[keeper, 0] if TEAM_OF_BODY[keeper] == 0 else PITCH[0] - spots[keeper, 0]
            at_home = x < 13 and abs(spots[keeper, 1] - CENTRE[1]) < 17
            plays_on = at_home and beat.label in (Act.DRIVE, Act.PASS)
            score[keeper] = (gathers or -KEEPER_COST) if plays_on else -KEEPER_NEVER
        return score

    def _shortfall(self, spots: np.ndarray, frame: int) -> np.ndarray:
        """Metres by which each body would come too late from where it was last needed or has got to, (22,)."""
        before = self.before.frame if self.before else -FPS
        setting_out = np.maximum(self.last_frame, max(before - FORESIGHT * FPS, 0))
        origin = np.where((self.last_frame >= before)[:, None], self.last_place, self.stand)
        short = [
            np.linalg.norm(spots - place, axis=1) - RUN_SPEED * np.maximum((frame - start) / FPS - 0.5, 0)
            for place, start in ((origin, setting_out), (self.last_place, self.last_frame))
        ]
        return np.maximum(np.maximum(*short), 0)

    def _cast_restart(self, beat: Beat, stands: np.ndarray) -> tuple[int, np.ndarray]:
        """Taker and place of a restart."""
        place = np.clip(self.origin + self.rng.normal(0, [6.0, 3.0]), beat.low, beat.high)
        score = -np.linalg.norm(stands - place, axis=1) / RESTART_METRES_A_POINT
        score -= LATE_COST * self._shortfall(place[None], beat.frame - RESTARTS[beat.restart].ready)
        score[list(KEEPERS)] += GOAL_KICK_KEEPER if beat.restart == "goal-kick" else -GOAL_KICK_KEEPER
        if beat.restart == "corner":
            score -= CORNER_BACK_COST * (self.places[:, 0] < 0.2)
        if beat.restart == "kick-off":
            score += KICK_OFF_FORWARD_GAIN * (self.places[:, 0] >= 1.0)
        return self._choose(beat, score), place

    def _late(self, beat: Beat, actor: int, place: np.ndarray) -> int:
        """Frames that the event must wait for its player, and at a restart for the ball."""
        origin, gap = self.origin, beat.frame - self.before.frame
        if beat.restart:
            restart = RESTARTS[beat.restart]
            late = self._shortfall(place[None], beat.frame - restart.ready)[actor] / RUN_SPEED * FPS
            flight = dead_seconds(beat.restart, self.before.label, (self.before.team, beat.team), origin, place)
            return max(0, int(np.ceil(max(late, flight * FPS + restart.hold - gap))))
        beyond = float((np.abs(place - origin) / np.maximum(beat.reach, 1e-6)).max()) - 1
        late = max(beyond, 0) * gap
        if beat.relation != SAME:
            late = max(late, self._shortfall(place[None], beat.frame)[actor] / RUN_SPEED * FPS)
        return int(np.ceil(late - 1e-6))

    def _commit(self, beat: Beat, actor: int, place: np.ndarray) -> None:
        casting, start = self.casting, None
        if beat.restart:
            start = beat.frame - RESTARTS[beat.restart].ready
            if self.before:
                self._add_key(Key(actor, start, place + self._run_up(beat, place)))
        elif beat.relation == SAME:
            start = self.before.frame
        elif beat.label == Act.TACKLE:  # the player who loses the ball has to be there too
            there = place + self.rng.normal(0, 0.35, 2)
            self._add_key(Key(casting.actor[-1], beat.frame, there, self.before.frame))
        self._add_key(Key(actor, beat.frame, place, start))
        casting.beats.append(beat)
        casting.place.append(place)
        casting.actor.append(actor)
        self.before, self.origin = beat, place

    def _run_up(self, beat: Beat, place: np.ndarray) -> np.ndarray:
        """From the ball to where the taker of a restart stands ready (2,)."""
        if beat.restart in ("throw-in", "kick-off"):
            return np.zeros(2)
        return np.sign(place - CENTRE) * 1.4 if beat.restart == "corner" else np.array([4.0 * beat.team - 2.0, 0.0])

    def _add_key(self, key: Key) -> None:
        self.casting.keys.append(key)
        self.last_frame[key.body], self.last_place[key.body] = key.frame, key.place
        self.stand[key.body] = key.place

    def _make_changes(self, frame: int, n_frames: int) -> None:
        """Substitutions and exchanges of roles that are due when the ball goes dead."""
        for change in [change for change in self.pending if change.frame <= frame]:
            if change.partner is not None:
                a, b = change.body, change.partner
                self.places[[a, b]] = self.places[[b, a]]
                self.casting.swaps.append((frame + 15, a, b))
            elif not self._substitute(change, frame, n_frames):
                continue
            self.pending.remove(change)

    def _substitute(self, change: LineUpChange, frame: int, n_frames: int) -> bool:
        body = change.body
        way = np.linalg.norm(self.stand[body] - BENCH)
        handover = frame + 40 + int(way / 4.5 * FPS)
        if self.busy_until[body] > frame or self.casting.actor[-1] == body or handover > n_frames - 100:
            return False
        spot = np.array(BENCH) + [self.rng.uniform(-4, 4), 0]
        self._add_key(Key(body, handover, spot, frame + 15))
        self.busy_until[body] = handover + 3 * FPS
        self.casting.handovers.append((handover, body, change.substitute))
        return True

"""The cameras, the drawing and the tracker of synthetic matches, on small scripted halves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from footpass_lib.schema import BOX_FRAME, CLASS_ID, FPS, PITCH, ROLE_ID, slot_of
from footpass_lib.synthetic import tracking
from footpass_lib.synthetic.picture import bodies, camera, pitch, poses, render, sprites
from footpass_lib.synthetic.picture.style import draw_style
from footpass_lib.synthetic.play.match import PlaySettings, new_match, play_half
from footpass_lib.synthetic.play.played import MOVE_ID, Play

SIZE = (96, 168)
_FORMATION = {"GK": (4, 34), "LB": (20, 12), "LCB": (17, 27), "RCB": (17, 41), "RB": (20, 56), "DM": (35, 34),
              "AM": (40, 20), "LM": (40, 48), "LW": (60, 14), "CF": (62, 34), "RW": (60, 54)}  # fmt: skip


def scripted_play(n_frames: int = 600, half: str = "game_7_H1") -> Play:
    """Two teams on circles around their places; the ball visits one player after another; one long stoppage."""
    seconds = np.arange(n_frames) / FPS
    homes = np.array([*_FORMATION.values()], float)
    homes = np.concatenate((homes, np.array(PITCH) - homes))  # (22, 2)
    turn = 0.6 * seconds[:, None] + np.arange(22)
    position = homes + 2.0 * np.stack((np.cos(turn), np.sin(turn)), axis=-1)
    velocity = np.gradient(position, axis=0) * FPS
    move, phase = np.zeros((n_frames, 22), np.uint8), np.zeros((n_frames, 22), np.float32)
    frames = np.arange(20, n_frames - 15, 40)
    actors = (5 * np.arange(len(frames)) + 3) % 22
    labels = np.arange(len(frames)) % 8 + 1
    for frame, actor, label in zip(frames, actors, labels, strict=True):
        span = np.arange(frame - 12, frame + 13)
        move[span, actor], phase[span, actor] = label, (span - frame) / FPS
    at = position[frames, actors]
    ball = np.stack([np.interp(np.arange(n_frames), frames, at[:, i]) for i in (0, 1)] + [np.full(n_frames, 0.11)], -1)
    roles = np.array([ROLE_ID[name] for name in _FORMATION])
    return Play(
        half=half,
        first_frame=0,
        position=position.astype(np.float32),
        velocity=velocity.astype(np.float32),
        heading=np.arctan2(velocity[..., 1], velocity[..., 0]).astype(np.float32),
        move=move,
        phase=phase,
        ball=ball.astype(np.float32),
        slot=np.tile(np.concatenate([slot_of(0, roles), slot_of(1, roles)]), (n_frames, 1)).astype(np.int8),
        team=np.repeat([0, 1], 11),
        jersey=np.tile(np.arange(1, 12), 2),
        referee=(ball[:, :2] + [6, 5]).clip(1, 67).astype(np.float32),
        events=pd.DataFrame({"frame": frames, "player": actors, "class": labels}),
        stoppages=pd.DataFrame([(150, 450, "throw-in")], columns=["start", "stop", "restart"]),
    )


def main_only(play: Play, view: camera.Camera) -> camera.Broadcast:
    return camera.Broadcast(view, np.zeros(play.n_frames, np.uint8), np.arange(play.n_frames))


@pytest.fixture(scope="module")
def play() -> Play:
    return scripted_play()


@pytest.fixture(scope="module")
def scene(play):
    """The play, its style, its people and a broadcast with the main camera alone."""
    rng = np.random.default_rng(3)
    style = draw_style(rng)
    cast = bodies.assemble_cast(play, style, bodies.draw_looks(rng), rng)
    return play, style, cast, main_only(play, camera.main_camera(play, style, rng))


@pytest.fixture(scope="module")
def film(scene):
    play, style, cast, broadcast = scene
    rng = np.random.default_rng(4)
    return render.prepare(play, cast, broadcast, style, pitch.build_stadium(style, SIZE[1], rng), SIZE, rng)


@pytest.fixture(scope="module")
def simulated() -> list[Play]:
    rng = np.random.default_rng(12)
    settings = PlaySettings(rarity=0.5, dead_time=0.5)
    return [play_half(new_match(game, rng), 1, 2500, 0, rng, settings) for game in range(4)]


# --- cameras -------------------------------------------------------------------------------------------------------


def test_projection_of_a_hand_computed_pinhole():
    # Looking along -y from (50, 100, 10), level, 20 m wide at 40 m: focal length 2 picture widths.
    view = camera.aim(np.array([[50.0, 100, 10]]), np.array([[50.0, 60, 10]]), np.array([20.0]))
    points = np.array([[[50, 60, 10], [55, 60, 10], [50, 60, 12], [50, 20, 10], [40, 20, 5], [50, 140, 10]]], float)
    picture, depth = view.project(points)
    assert_allclose(view.focal, 2.0)
    assert_allclose(depth[0], [40, 40, 40, 80, 80, -40])
    # Right of the axis is larger x; up is smaller row; 16:9 stretches the vertical share.
    expected = [
        [0.5, 0.5],
        [0.75, 0.5],
        [0.5, 0.5 - 2 * 2 / 40 * 16 / 9],
        [0.5, 0.5],
        [0.25, 0.5 + 2 * 5 / 80 * 16 / 9],
    ]
    assert_allclose(picture[0, :5], expected)
    assert np.isnan(picture[0, 5]).all()


def test_camera_axes_are_orthonormal_and_level():
    rng = np.random.default_rng(0)
    view = camera.aim(
        rng.uniform(0, 100, (50, 3)) + [0, 0, 5], rng.uniform(0, 70, (50, 3)) * [1, 1, 0.02], np.full(50, 30.0)
    )
    assert_allclose(view.axes @ view.axes.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (50, 3, 3)), atol=1e-9)
    assert_allclose(view.axes[:, 0, 2], 0, atol=1e-12)
    assert (view.axes[:, 1, 2] > 0).all()


def test_target_width_is_what_the_picture_spans():
    view = camera.aim(np.array([[52.5, 100, 25]]), np.array([[30.0, 40, 0]]), np.array([36.0]))
    right = view.axes[0, 0]
    edges = np.array([30.0, 40, 0]) + np.array([[-18.0], [18.0]]) * right
    assert_allclose(view.project(edges[None])[0][0, :, 0], [0, 1], atol=1e-9)


def test_the_main_camera_keeps_the_ball_in_view(simulated):
    rng = np.random.default_rng(1)
    inside, at_events = [], []
    for play in simulated:
        for shifted in (False, True):
            style = draw_style(rng, shifted)
            picture, _ = camera.main_camera(play, style, rng).project(play.ball[:, None].astype(float))
            inside.append(((picture > 0) & (picture < 1)).all(axis=(1, 2)))
            at_events.append(inside[-1][play.events["frame"]])
    assert np.concatenate(inside).mean() > 0.98
    assert np.concatenate(at_events).mean() > 0.99


def test_the_main_camera_moves_smoothly(simulated):
    rng = np.random.default_rng(6)
    for play in simulated:
        forward = camera.main_camera(play, draw_style(rng), rng).axes[:, 2]
        turn = np.degrees(np.arccos(np.clip((forward[1:] * forward[:-1]).sum(axis=1), -1, 1)))
        assert 0.1 < turn.max() < 1.0  # degrees a frame


def test_director_cuts_away_in_the_stoppage_and_replays_the_past(play):
    style = draw_style(np.random.default_rng(0))
    shown, in_stoppage = 0, 0
    for seed in range(12):
        broadcast = camera.direct(play, style, np.random.default_rng(seed))
        away = broadcast.shot != camera.MAIN
        shown += away.sum()
        in_stoppage += away[150:450].sum()
        frames = np.arange(play.n_frames)
        replay = broadcast.shot == camera.REPLAY
        assert (broadcast.source[replay] < frames[replay]).all()
        assert_array_equal(broadcast.source[~replay], frames[~replay])
        edges = np.flatnonzero(np.diff(np.concatenate(([0], away, [0]))))
        lengths = edges[1::2] - edges[::2]
        assert (lengths >= 50).all()  # a shorter one would vanish when gaps in boxes are filled
        assert (
            broadcast.camera.focal[away] != camera.main_camera(play, style, np.random.default_rng(seed)).focal[away]
        ).all()
    assert shown > 0
    assert in_stoppage > 0.6 * shown


# --- bodies --------------------------------------------------------------------------------------------------------


def test_bodies_stand_on_the_grass_with_the_asked_height(scene):
    play, style, cast, _ = scene
    frames, people = np.zeros(play.n_players, int), np.arange(play.n_players)
    still = replace(cast, speed=np.zeros_like(cast.speed), move=np.zeros_like(cast.move))
    joints = bodies.place_bodies(still, frames, people)
    top = joints[..., 2].max(axis=1) + cast.scale * bodies.LIMB_RADIUS.max()
    assert_allclose(top, style.body_height, rtol=0.06)
    assert_allclose(joints[..., 2].min(axis=1), 0.06 * cast.scale, atol=1e-5)
    assert_allclose(joints[:, 0, :2], play.position[0], atol=1e-5)  # the pelvis is over the player's place


def test_left_hand_is_on_the_left(scene):
    _, _, cast, _ = scene
    # Facing +x (away from team 0's goal), the left side is at small y.
    facing = replace(cast, heading=np.zeros_like(cast.heading), move=np.zeros_like(cast.move))
    joints = bodies.place_bodies(facing, np.zeros(22, int), np.arange(22))
    left, right = bodies.JOINT["shoulder_l"], bodies.JOINT["shoulder_r"]
    assert (joints[:, left, 1] < joints[:, right, 1]).all()


def pose_at(name: str, phase: float, left_footed: bool = False) -> dict[str, float]:
    angles, weight = poses.acting(np.array([MOVE_ID[name]]), np.array([phase]), np.array([left_footed]))
    return {angle: float(angles[0, i] * weight[0, 0]) for angle, i in poses.ANGLE.items()}


def test_poses_say_what_the_classes_mean():
    assert pose_at("shot", -0.2)["thigh_r"] < -0.5 < 0.5 < pose_at("shot", 0.16)["thigh_r"]  # swings through
    assert pose_at("header", 0.0)["lift"] > 0.3 > pose_at("pass", 0.0)["lift"]
    assert min(pose_at("throw-in", -0.14)[arm] for arm in ("arm_r", "arm_l")) > 2.5  # both hands overhead
    assert pose_at("tackle", 0.1)["lean"] < -0.4  # leans back into the slide
    assert pose_at("block", 0.0)["spread_r"] > 0.6
    right, left = pose_at("pass", 0.16), pose_at("pass", 0.16, left_footed=True)
    assert right["thigh_r"] == left["thigh_l"] and right["thigh_l"] == left["thigh_r"]


@pytest.mark.parametrize("name", [name for name in MOVE_ID if name != "run"])
def test_every_move_grows_out_of_the_run_and_ends_in_it(name):
    phases = np.arange(-0.48, 0.481, 0.04)  # the frames that a move lasts
    _, weight = poses.acting(np.full(len(phases), MOVE_ID[name]), phases, np.zeros(len(phases), bool))
    assert weight.max() == 1
    assert weight[0] < 0.4 and weight[-1] < 0.4
    assert np.abs(np.diff(weight[:, 0])).max() < 0.55


# --- drawing -------------------------------------------------------------------------------------------------------


def one_figure(starts, stops, radii, colours) -> sprites.Sprites:
    wrap = np.asarray
    return sprites.Sprites(
        wrap([0]), wrap([1.0]), wrap([starts], float), wrap([stops], float), wrap([radii], float),
        wrap([colours], float), np.ones((1, len(radii))),
    )  # fmt: skip


def rasterise(figure: sprites.Sprites, height: int, width: int) -> tuple[np.ndarray | None, np.ndarray]:
    """Colour and clearness of figures on a patch that is the whole picture."""
    return sprites._paint(sprites._forms(figure, np.array([[width, height]]) / 2), figure.colour, (height, width))


def test_capsule_covers_what_lies_within_its_radius():
    colour, clear = rasterise(one_figure([[8, 10]], [[22, 16]], [3.0], [[200, 100, 50]]), 30, 32)
    y, x = np.mgrid[0.5:30, 0.5:32]
    a, axis = np.array([8.0, 10]), np.array([14.0, 6])
    share = (((x - a[0]) * axis[0] + (y - a[1]) * axis[1]) / (axis @ axis)).clip(0, 1)
    distance = np.hypot(x - a[0] - share * axis[0], y - a[1] - share * axis[1])
    alpha = 1 - clear.reshape(30, 32)
    assert_allclose(alpha[distance < 2.3], 1, atol=1e-6)
    assert_allclose(alpha[distance > 3.6], 0, atol=1e-6)
    assert_allclose(alpha.sum(), np.pi * 9 + 6 * np.hypot(14, 6), rtol=0.03)  # the area of the capsule
    assert_allclose(colour.reshape(3, 30, 32), np.array([200, 100, 50])[:, None, None] * alpha, atol=1e-3)


def test_near_limbs_and_near_figures_hide_far_ones():
    disc = [[10.0, 10.0]]
    red, blue = [[255, 0, 0]], [[0, 0, 255]]
    both = one_figure(disc * 2, disc * 2, [4, 4], red + blue)  # near first
    frames = np.zeros((1, 3, 20, 20), np.float32)
    sprites.composite(frames, [both])
    assert_allclose(frames[0, :, 10, 10], [255, 0, 0])
    far, near = one_figure(disc, disc, [4], red), one_figure(disc, disc, [4], blue)
    far = replace(far, depth=np.array([9.0]))
    for order in ([far, near], [near, far]):
        frames = np.zeros((1, 3, 20, 20), np.float32)
        sprites.composite(frames, order)
        assert_allclose(frames[0, :, 10, 10], [0, 0, 255])


def test_figures_beyond_the_edge_are_cut_not_moved():
    whole = np.zeros((1, 3, 60, 60), np.float32)
    figure = one_figure([[20, 20]], [[40, 45]], [5], [[90, 80, 70]])
    sprites.composite(whole, [figure])
    part = np.zeros((1, 3, 30, 30), np.float32)
    sprites.composite(part, [replace(figure, start=figure.start - 25, stop=figure.stop - 25)])
    assert part.max() > 50
    assert_allclose(part, whole[:, :, 25:55, 25:55], atol=1e-3)


def test_large_figures_look_the_same_drawn_limb_by_limb(monkeypatch):
    rng = np.random.default_rng(5)
    start = rng.uniform(10, 50, (3, 6, 2))
    drawn = sprites.Sprites(
        np.array([0, 0, 1]), np.array([3.0, 2, 1]), start, start + rng.uniform(-9, 9, start.shape),
        rng.uniform(1, 5, (3, 6)), rng.uniform(0, 255, (3, 6, 3)), np.ones((3, 6)),
    )  # fmt: skip
    pictures = []
    for limit in (10**9, 0):
        monkeypatch.setattr(sprites, "_LARGE", limit)
        frames = np.full((2, 3, 64, 64), 30, np.float32)
        sprites.composite(frames, [drawn])
        pictures.append(frames)
    assert_allclose(pictures[0], pictures[1], atol=0.01)
    assert np.abs(pictures[0] - 30).max() > 50


def test_patches_make_the_picture_that_drawing_one_figure_after_the_other_makes():
    rng = np.random.default_rng(9)
    start = rng.uniform(-20, 80, (40, 3, 2))
    drawn = sprites.Sprites(
        rng.integers(0, 2, 40), rng.permutation(40).astype(float), start, start + rng.uniform(-9, 9, start.shape),
        rng.uniform(1, 5, (40, 3)), rng.uniform(0, 255, (40, 3, 3)), rng.uniform(0.3, 1, (40, 3)),
    )  # fmt: skip
    black = replace(drawn[np.arange(20)], colour=np.zeros((20, 3, 3)))
    frames = np.full((2, 3, 48, 64), 90, np.float32)
    expected = frames.copy()
    sprites.composite(frames, [black, drawn[np.arange(20, 40)]])
    for i in np.argsort(-drawn.depth):
        colour, clear = rasterise(drawn[[i]], 48, 64)
        picture = expected[drawn.frame[i]]
        picture *= clear.reshape(48, 64)
        picture += 0 if i < 20 else colour.reshape(picture.shape)
    assert_allclose(frames, expected, atol=0.05)
    assert frames.std() > 30


def test_lines_are_painted_where_the_laws_put_them():
    x = np.array([0.0, 52.5, 16.5, 5.5, 52.5 + 9.15, 11.0, 105 - 16.5, 52.5, 11 + 9.15, 70, 30.0])
    y = np.array([20.0, 10.0, 34.0, 34.0, 34.0, 34.0, 20.0, 68.0, 34.0, 34.0, 34.0])
    distance = pitch._line_distance(x, y)
    assert (distance[:9] < 0.01).all()
    assert (distance[9:] > 3).all()


def test_the_stadium_is_filmed_where_it_stands():
    style = draw_style(np.random.default_rng(2))
    style = replace(style, stripes=0.0, wear=0.0)
    stadium = pitch.build_stadium(style, 640, np.random.default_rng(2))
    view = camera.aim(np.array([[52.5, 105, 25]]), np.array([[52.5, 24, 0]]), np.array([50.0]))
    picture = pitch.film_stadium(stadium, view, 360, 640)[0]
    point, _ = view.project(np.array([[[52.5, 24, 0], [46.0, 24, 0], [50.0, -5.0, 3.0]]]))
    column, row = (point[0] * [640, 360]).astype(int).T
    line, grass, board = (picture[:, r, c] for r, c in zip(row, column, strict=True))
    assert line.min() > 120 and line.max() < 1.3 * line.min()  # white
    assert grass[1] > 1.5 * grass[0] and grass[1] > 1.5 * grass[2]  # green
    assert not (board[1] > 1.5 * board[0] and board[1] > 1.5 * board[2])


def test_frames_have_the_size_type_and_repeat(film):
    first, again = render.render(film, 10, 22), render.render(film, 10, 22)
    assert first.shape == (12, *SIZE, 3) and first.dtype == np.uint8
    assert_array_equal(first, again)
    assert first.std() > 15
    assert np.abs(first[0].astype(int) - first[-1]).mean() > 0.5  # something moves


def test_a_pan_blurs_the_background(film):
    frames = np.zeros((2, 3, 4, 40), np.float32)
    frames[..., 20] = 100
    render._smear(frames, np.array([0.0, 6.0]))
    assert (frames[0] > 0).sum() == 3 * 4
    spread = frames[1, 0, 0] @ (np.arange(40) - 20.0) ** 2 / frames[1, 0, 0].sum()
    assert_allclose(frames[1, 0, 0].sum(), 100, rtol=1e-3)
    assert_allclose(spread, 6.0**2 / 12, rtol=0.15)  # the variance of a box of six pixels


def test_players_are_drawn_inside_their_outlines(film, scene):
    play, _, cast, broadcast = scene
    frames = [0, 120, 300]
    outline, _ = tracking.outline_bodies(play, cast, broadcast)
    empty = replace(film, cast=replace(cast, position=np.full_like(cast.position, np.nan)))
    scale = np.tile([SIZE[1] / BOX_FRAME[0], SIZE[0] / BOX_FRAME[1]], 2)
    for frame in frames:
        view, source = broadcast.camera[frame : frame + 1], np.array([frame])
        with_people = np.zeros((1, 3, *SIZE), np.float32)
        people, _ = render.draw_people(film, view, source)
        sprites.composite(with_people, [people])
        painted = with_people[0].max(axis=0) > 0
        allowed = np.zeros(SIZE, bool)
        for x, y, w, h in outline[frame] * scale:
            box = painted[max(int(y), 0) : int(y + h) + 1, max(int(x), 0) : int(x + w) + 1]
            allowed[max(int(y) - 1, 0) : int(y + h) + 2, max(int(x) - 1, 0) : int(x + w) + 2] = True
            if x > 0 and y > 0 and x + w < SIZE[1] and y + h < SIZE[0]:
                assert box.any(axis=1).mean() > 0.7  # the figure fills its outline from top to bottom
        nobody, _ = render.draw_people(empty, view, source)
        assert len(nobody) == 0
        officials = people.colour.shape[0] - np.isfinite(outline[frame, :, 0]).sum()
        assert officials <= 3
        outside = painted & ~allowed
        assert outside.sum() < 0.35 * painted.sum()  # what is left are the officials, who have no outline


def test_the_ball_is_where_it_projects_to(film, scene):
    play, _, _, broadcast = scene
    source = np.arange(60, 64)
    view = broadcast.camera[60:64]
    ball, shadow = render.draw_ball(film, view, source)
    frames = np.zeros((4, 3, *SIZE), np.float32)
    sprites.composite(frames, [ball])
    picture, _ = view.project(play.ball[source].astype(float)[:, None])
    for i, (x, y) in enumerate(picture[:, 0] * SIZE[::-1]):
        row, column = np.unravel_index(frames[i].sum(axis=0).argmax(), SIZE)
        assert np.hypot(column + 0.5 - x, row + 0.5 - y) < 2
        assert frames[i].max() > 150
    assert len(shadow) == 4


def test_replays_and_close_ups_look_different_from_the_main_shot(scene):
    play, style, cast, main = scene
    rng = np.random.default_rng(8)
    broadcast = camera.direct(play, style, rng)
    away = np.flatnonzero(broadcast.shot != camera.MAIN)
    assert len(away)
    stadium = pitch.build_stadium(style, SIZE[1], rng)
    films = [render.prepare(play, cast, b, style, stadium, SIZE, np.random.default_rng(0)) for b in (broadcast, main)]
    frame = int(away[len(away) // 2])
    other, same = (render.render(film, frame, frame + 1)[0].astype(int) for film in films)
    assert np.abs(other - same).mean() > 8
    people, _ = render.draw_people(films[0], broadcast.camera[frame : frame + 1], broadcast.source[frame : frame + 1])
    usual, _ = render.draw_people(films[1], main.camera[frame : frame + 1], np.array([frame]))
    low, high = sprites.extent(people)
    low_usual, high_usual = sprites.extent(usual)
    assert (high - low)[:, 1].max() > 1.5 * (high_usual - low_usual)[:, 1].max()  # closer


def test_batches_cover_every_frame_once_and_never_cross_a_cut(play):
    broadcast = camera.direct(play, draw_style(np.random.default_rng(0)), np.random.default_rng(3))
    ranges = render.batches(broadcast)
    assert_array_equal(np.concatenate([np.arange(a, b) for a, b in ranges]), np.arange(play.n_frames))
    assert all(len(set(broadcast.shot[a:b])) == 1 and 0 < b - a <= render.BATCH for a, b in ranges)


def test_the_challenge_looks_different():
    rng = np.random.default_rng(0)
    base, shifted = [draw_style(rng) for _ in range(20)], [draw_style(rng, shifted=True) for _ in range(20)]
    assert not {k.shirt for s in base for k in s.kits} & {k.shirt for s in shifted for k in s.kits}
    for name, sign in (("camera_height", -1), ("view_width", 1), ("softness", 1), ("crf", 1), ("exposure", 1)):
        usual, other = ([sign * getattr(style, name) for style in styles] for styles in (base, shifted))
        assert min(other) >= max(usual)
    for style in base + shifted:
        shirts = [np.array(k.shirt) for k in (*style.kits, *style.keepers)]
        assert np.linalg.norm(shirts[0] - shirts[1]) > 0.5


# --- tracking ------------------------------------------------------------------------------------------------------


def test_the_feet_of_every_tracked_player_lie_in_the_outline(scene):
    play, _, cast, broadcast = scene
    tracks = tracking.track(play, cast, broadcast, tracking.TrackerSettings(), np.random.default_rng(0))
    foot = np.concatenate((play.position, np.zeros((*play.position.shape[:2], 1))), axis=-1).astype(float)
    picture, _ = broadcast.camera.project(foot)
    frame, player = np.nonzero(np.isfinite(tracks.box[..., 0]))
    assert len(frame) > 3000
    x, y = (picture[frame, player] * BOX_FRAME).T
    left, top, width, height = tracks.outline[frame, player].T.astype(float)
    on_ground = cast.move[frame, player] == 0  # a jump or a slide leaves the spot under the pelvis
    assert ((x >= left - 0.25 * width) & (x <= left + 1.25 * width)).all()
    assert (y[on_ground] >= top[on_ground] + 0.6 * height[on_ground]).all()
    assert (y[on_ground] <= top[on_ground] + 1.08 * height[on_ground]).all()


def test_boxes_stay_in_the_picture_close_to_the_outline(scene):
    play, _, cast, broadcast = scene
    settings = tracking.TrackerSettings()
    tracks = tracking.track(play, cast, broadcast, settings, np.random.default_rng(0))
    box = tracks.box[np.isfinite(tracks.box[..., 0])]
    assert (box[:, :2] >= 0).all() and (box[:, 2:] > 0).all()
    assert (box[:, :2] + box[:, 2:] <= np.array(BOX_FRAME) + 0.01).all()
    inside = np.isfinite(tracks.box[..., 0]) & (tracks.outline[..., :2] > 60).all(-1)
    inside &= (tracks.outline[..., :2] + tracks.outline[..., 2:] < np.array(BOX_FRAME) - 60).all(-1)
    error = (tracks.box - tracks.outline)[inside][:, :2] / tracks.outline[inside][:, 3:]
    assert_allclose(error.std(), settings.jitter, rtol=0.15)
    perfect = replace(settings, jitter=0.0)
    exact = tracking.track(play, cast, broadcast, perfect, np.random.default_rng(0))
    assert_allclose(
        exact.box[inside & np.isfinite(exact.box[..., 0])],
        exact.outline[inside & np.isfinite(exact.box[..., 0])],
        atol=0.01,
    )


def test_nobody_is_tracked_outside_main_shots_or_out_of_the_picture(scene):
    play, style, cast, _ = scene
    broadcast = camera.direct(play, style, np.random.default_rng(8))
    away = broadcast.shot != camera.MAIN
    assert away.any()
    tracks = tracking.track(play, cast, broadcast, tracking.TrackerSettings(), np.random.default_rng(0))
    assert np.isnan(tracks.box[away]).all()
    assert not tracks.has_box[away].any()
    foot = np.concatenate((play.position, np.ones((*play.position.shape[:2], 1))), axis=-1).astype(float)
    picture, _ = broadcast.camera.project(foot)
    off = ~((picture > -0.02) & (picture < 1.02)).all(axis=-1)
    assert np.isnan(tracks.box[off]).all()


def test_a_hidden_player_is_missed():
    outline = np.array([[[100, 100, 40, 80], [105, 104, 40, 80], [400, 100, 40, 80]]], float)
    covered = tracking._covered(outline, np.array([[50.0, 40.0, 45.0]]))
    assert_allclose(covered[0], [35 * 76 / 3200, 0, 0])
    absent = outline.copy()
    absent[0, 1] = np.nan
    assert_allclose(tracking._covered(absent, np.array([[50.0, np.nan, 45.0]]))[0, [0, 2]], 0)


def test_losses_outlast_what_interpolation_bridges(play, monkeypatch):
    monkeypatch.setattr(tracking, "ACTION_LOSS", {"pass": 1.0})
    settings = tracking.TrackerSettings(loss_rate=2.0)
    lost = tracking._losses(play, np.zeros((play.n_frames, 22), bool), settings, np.random.default_rng(0))
    edges = np.diff(np.pad(lost.astype(int), ((1, 1), (0, 0))), axis=0)
    for player in range(22):
        starts, stops = np.flatnonzero(edges[:, player] == 1), np.flatnonzero(edges[:, player] == -1)
        within = (starts > 0) & (stops < play.n_frames)
        assert (stops - starts)[within].min(initial=99) >= 50
    passes = play.events[play.events["class"] == CLASS_ID["pass"]]
    assert lost[passes["frame"], passes["player"]].all()
    rate = (edges == 1).sum() / (play.n_frames / FPS / 60 * 22)
    assert 1.2 < rate < 3.2


def test_positions_are_close_when_seen_and_a_guess_when_not(play):
    seen = np.ones((play.n_frames, 22), bool)
    seen[200:400, 5] = False
    position, velocity = tracking.estimate_motion(play, seen, np.random.default_rng(0))
    error = np.linalg.norm(position - play.position, axis=-1)
    assert 0.05 < np.delete(error, 5, axis=1).mean() < 0.6
    assert error[230:380, 5].mean() > 2 * np.delete(error, 5, axis=1).mean()
    assert error[:190, 5].mean() < 0.6
    assert_allclose(velocity[1:-1], (position[2:] - position[:-2]) * FPS / 2, atol=2e-3)
    assert np.linalg.norm(velocity, axis=-1).max() <= 10.001


def test_rows_of_the_tactical_table(scene):
    play, _, cast, broadcast = scene
    late = replace(play, first_frame=5000)
    tracks = tracking.track(late, cast, broadcast, tracking.TrackerSettings(), np.random.default_rng(0))
    rows = tracking.tactical_rows(late, tracks)
    assert rows.shape == (22 * play.n_frames, 14) and rows.dtype == np.float32
    assert_array_equal(rows[:, 0], np.repeat(np.arange(5000, 5000 + play.n_frames), 22))
    # Row 5 of frame 33: the player of index 5, team 0, jersey 6, whose role is DM.
    row = rows[33 * 22 + 5]
    assert_array_equal(row[:5], [5033, 106, 0, 6, ROLE_ID["DM"]])
    assert_allclose(row[5:7] * PITCH, tracks.position[33, 5], rtol=1e-5)
    assert_allclose(row[7:9], tracks.velocity[33, 5])
    assert_array_equal(row[9:13], tracks.box[33, 5])
    assert_array_equal(rows[33 * 22 + 11 + 3][1:5], [204, 1, 4, ROLE_ID["RCB"]])
    labelled = rows[rows[:, 13] > 0]
    assert_array_equal(labelled[:, 0], play.events["frame"] + 5000)
    assert_array_equal(labelled[:, 13], play.events["class"])
    assert_array_equal(labelled[:, 3], play.jersey[play.events["player"]])
    truth = tracking.truth_events(late, tracks, broadcast)
    assert_array_equal(truth[:, :4], labelled[:, [0, 2, 3, 13]])
    assert not truth[:, 5].any()


def test_players_look_the_same_in_both_halves():
    first, second = scripted_play(40), scripted_play(40, "game_7_H2")
    second = replace(second, team=1 - second.team)  # the clubs have changed ends
    style, looks = draw_style(np.random.default_rng(0)), bodies.draw_looks(np.random.default_rng(1))
    one, two = (bodies.assemble_cast(p, style, looks, np.random.default_rng(2)) for p in (first, second))
    assert_array_equal(one.colours, two.colours)
    assert_array_equal(one.left_footed, two.left_footed)
    keeper, player = one.colours[0, 1], one.colours[1, 1]
    assert np.abs(keeper - player).max() > 30
    assert np.abs(one.colours[1, 1] - one.colours[12, 1]).max() > 60


# Of the real actors: share with a box, share in replay.
REAL = {
    "drive": (0.858, 0.079),
    "pass": (0.814, 0.098),
    "cross": (0.705, 0.102),
    "throw-in": (0.436, 0.467),
    "shot": (0.810, 0.004),
    "header": (0.666, 0.044),
    "tackle": (0.611, 0.074),
    "block": (0.783, 0.051),
}


@pytest.mark.slow
def test_shares_with_box_and_in_replay_are_near_the_real_table():
    rng = np.random.default_rng(21)
    settings = PlaySettings(rarity=0.9, dead_time=0.5)
    found = []
    for game in range(22):
        play = play_half(new_match(game, rng), 1, 2500, 0, rng, settings)
        for _ in range(2):  # two broadcasts of each half
            style = draw_style(rng)
            cast = bodies.assemble_cast(play, style, bodies.draw_looks(rng), rng)
            broadcast = camera.direct(play, style, rng)
            tracks = tracking.track(play, cast, broadcast, tracking.TrackerSettings(), rng)
            found.append(tracking.truth_events(play, tracks, broadcast))
    found = np.concatenate(found)
    for name, (with_box, in_replay) in REAL.items():
        own = found[found[:, 3] == CLASS_ID[name]]
        assert len(own) > 50
        for column, real in ((4, with_box), (5, in_replay)):
            # a band of .06, and two standard errors of a share of so few events
            band = 0.06 + 2 * (real * (1 - real) / len(own)) ** 0.5
            assert abs(own[:, column].mean() - real) < band, (name, column, len(own), own[:, column].mean())

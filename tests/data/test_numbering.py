"""Frame n is picture n, or an error: files that people bring, made with a few tiny pictures."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from test_video import coded, decoded

from footpass_lib.__main__ import main
from footpass_lib.data.resample import resample_video
from footpass_lib.data.video import VideoReader
from footpass_lib.data.video_index import index_video
from footpass_lib.schema import FootpassError

SIZE = (48, 64)


def film(path, numbers, stamps=None, rate=Fraction(25), gop=12, b_frames=0, size=SIZE, pictures=None, **others):
    """Write pictures with these numbers, shown at these stamps (their numbers, if none are given) of 1 / rate."""
    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w", format=others.get("container")) as container:
        settings = f"keyint={gop}:min-keyint=1:scenecut=0:bframes={b_frames}:b-adapt=0:threads=1"
        codec = others.get("codec", "libx264")
        options = {"crf": "20", "x264-params": settings} if codec == "libx264" else {"g": str(gop), "bf": str(b_frames)}
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        if "turned" in others:
            stream.set_display_rotation(**others["turned"])
        pictures = coded(numbers, *size) if pictures is None else pictures
        for stamp, picture in zip(numbers if stamps is None else stamps, pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = int(stamp), 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def trim(source, target, first):
    """Copy a video from a frame on: from the keyframe before it, with stamps below 0, which mp4 keeps as an edit."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        packets = [packet for packet in given.demux(stream) if packet.pts is not None]
        off = round(first / 25 / stream.time_base)
        keys = [i for i, packet in enumerate(packets) if packet.is_keyframe and packet.pts <= off]
        for packet in packets[keys[-1] :]:
            packet.pts, packet.dts, packet.stream = packet.pts - off, packet.dts - off, copy
            made.mux(packet)
    return target


def found(reader):
    """The picture that each frame gives, None where it is refused; forwards, then backwards."""
    forwards, backwards = {}, {}
    for numbers, got in ((range(reader.n_frames), forwards), (range(reader.n_frames - 1, -1, -1), backwards)):
        for number in numbers:
            try:
                got[number] = int(decoded(reader.read(number, number + 1))[0])
            except FootpassError:
                got[number] = None
    assert forwards == backwards
    return list(forwards.values())


# holes


HOLE = [n for n in range(60) if not 40 <= n < 43]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.flv"])
def test_a_missing_picture_shifts_no_other_frame(tmp_path, name):
    codec = "mpeg4" if name == "a.avi" else "libx264"
    reader = VideoReader(film(tmp_path / name, HOLE, codec=codec, b_frames=0 if name == "a.flv" else 2))
    assert reader.n_frames == 60
    assert found(reader) == [n if n in HOLE else None for n in range(60)]
    for ask in (lambda: reader.read(38, 50), lambda: reader.stream(0, 60, 5), lambda: reader.require(41, 44)):
        with pytest.raises(
            FootpassError, match="there is no frame 4.: by the time stamps, 40 to 42 are missing"
        ) as error:
            ask()
        assert "3 of 60 are missing" in str(error.value) and f"footpass_lib video {reader.path} --out" in str(
            error.value
        )
        assert "cut short" not in str(error.value)


@pytest.mark.parametrize("gop", [12, 250])
def test_a_trimmed_mp4_counts_from_its_first_shown_picture(tmp_path, gop):
    """With a keyframe at 250 the only one lies before time 0, and no shown picture is one."""
    whole = film(tmp_path / "whole.mp4", HOLE, gop=gop, b_frames=2)
    path = trim(whole, tmp_path / "trimmed.mp4", 17)
    with av.open(str(path)) as container:  # users of PyAV meet pictures here that are not in the decode
        listed = container.streams.video[0].frames
        assert listed == len(HOLE) - (12 if gop == 12 else 0) > len(list(container.decode(video=0))) == 40
    reader = VideoReader(path)
    assert found(reader) == [n if n in HOLE else None for n in range(17, 60)]
    assert reader.index.announced == 40 and not reader.index.cut_short
    with pytest.raises(FootpassError, match=r"no frame 43; the video has 43$"):
        reader.read(43, 44)


def test_without_a_rate_a_trimmed_mp4_is_read_over_its_hole(tmp_path):
    path = trim(film(tmp_path / "whole.mp4", HOLE, b_frames=2), tmp_path / "trimmed.mp4", 17)
    assert found(VideoReader(path, expect_fps=None)) == [n for n in HOLE if n >= 17]


# rates


@pytest.mark.parametrize("rate, shown", [(Fraction(30000, 1001), "29.97"), (50, "50.00"), (Fraction(25, 2), "12.50")])
def test_other_rates_are_named_with_the_command_that_helps(tmp_path, rate, shown):
    path = film(tmp_path / "a.mp4", range(30), rate=Fraction(rate))
    with pytest.raises(
        FootpassError, match=rf"has {shown} frames a second; expected 25; `python -m footpass_lib video"
    ):
        VideoReader(path).read(0, 1)


def test_a_drift_is_named_where_it_leaves_the_grid(tmp_path):
    path = film(tmp_path / "a.mp4", range(80), rate=Fraction(249, 10))
    with pytest.raises(
        FootpassError, match=r"picture 63 is shown at 2\.530 s, which is frame 63\.25 .* 24\.900 a second"
    ):
        VideoReader(path).read(0, 1)


def test_stamps_that_waver_are_followed_as_far_as_they_are_certain(tmp_path):
    wavers = [40 * n + (0, 8, -8)[n % 3] for n in range(30)]
    assert found(VideoReader(film(tmp_path / "a.mp4", range(30), wavers, rate=Fraction(1000)))) == list(range(30))
    wavers[20] += 20
    with pytest.raises(FootpassError, match="picture 20 is shown at 0.812 s, which is frame 20.30"):
        index_video(film(tmp_path / "b.mp4", range(30), wavers, rate=Fraction(1000)), 25)


def test_two_pictures_of_one_frame_are_refused(tmp_path):
    stamps = [40 * n for n in range(20)] + [769, *range(800, 1600, 40)]
    path = film(tmp_path / "a.mp4", range(len(stamps)), stamps, rate=Fraction(1000))
    with pytest.raises(FootpassError, match="pictures 19 and 20 are both frame 19"):
        index_video(path, 25)


# stamps that do not say when a picture is shown


@pytest.mark.parametrize(
    "last, said", [(29, "frames 29 and 30 have one time stamp"), (5_000_000, "shown over 56 hours")]
)
def test_stamps_that_nobody_can_mean_are_refused(tmp_path, last, said):
    path = film(tmp_path / "a.mkv", range(31), [*range(30), 30 if last == 29 else last])
    if last == 29:  # which no muxer writes: the last picture's stamp is made that of the one before
        packets = bytearray(path.read_bytes())
        place = packets.rindex((1200).to_bytes(2, "big"))
        packets[place : place + 2] = (1160).to_bytes(2, "big")
        path.write_bytes(packets)
    with pytest.raises(FootpassError, match=said):
        VideoReader(path).read(0, 1)


def test_a_bare_stream_has_no_time_stamps(tmp_path):
    path = film(tmp_path / "a.h264", range(30), container="h264")
    with pytest.raises(FootpassError, match=r"its 30 pictures have no time stamps; .* --rate FPS"):
        VideoReader(path).read(0, 1)


def test_joined_transport_streams_are_refused_where_stamps_start_anew(tmp_path):
    one = film(tmp_path / "a.ts", range(30)).read_bytes()
    (tmp_path / "joined.ts").write_bytes(one + film(tmp_path / "b.ts", range(7, 20)).read_bytes())
    with pytest.raises(FootpassError, match=r"joined\.ts: time stamps start anew after picture"):
        VideoReader(tmp_path / "joined.ts").read(0, 1)


def test_an_avi_that_hides_the_order_of_its_pictures_is_refused(tmp_path):
    with pytest.raises(FootpassError, match=r"in which order its pictures are shown \(AVI, B-frames\); .* --rate FPS"):
        VideoReader(film(tmp_path / "a.avi", range(30), b_frames=2)).read(0, 1)
    reader = VideoReader(film(tmp_path / "b.avi", range(30)))
    assert reader.index.pts[0] == 1  # as AVI of H.264 does
    assert found(reader) == list(range(30))


# what PyAV does when it seeks, and what the reader makes of it


def test_a_seek_in_a_transport_stream_may_land_on_the_next_keyframe(tmp_path):
    path = film(tmp_path / "a.ts", range(60), gop=20)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        container.seek(stream.start_time + round(15 / 25 / stream.time_base), stream=stream)
        assert decoded(next(container.decode(stream)).to_ndarray(format="rgb24")[None]).tolist() == [20]
    reader = VideoReader(path)
    for number in (15, 59, 0, 39, 20, 19, 1):
        assert decoded(reader.read(number, number + 1)).tolist() == [number]


def test_no_frame_after_the_last_keyframe_is_out_of_reach(tmp_path):
    for name in ("a.ts", "a.mkv", "a.flv", "a.avi", "a.mp4"):
        reader = VideoReader(film(tmp_path / name, range(50), gop=20))
        for number in (49, 3, 41, 40, 39, 48):
            assert decoded(reader.read(number, number + 1)).tolist() == [number]


# how pictures are turned, and which stream they are


TURNS = {
    "upright": ({"degrees": 0}, lambda p: p),
    "quarter": ({"degrees": 90}, lambda p: np.rot90(p, 1, (1, 2))),
    "half": ({"degrees": 180}, lambda p: np.rot90(p, 2, (1, 2))),
    "three quarters": ({"degrees": -90}, lambda p: np.rot90(p, -1, (1, 2))),
    "mirrored": ({"degrees": 0, "hflip": True}, lambda p: p[:, :, ::-1]),
    "upside down": ({"degrees": 0, "vflip": True}, lambda p: p[:, ::-1]),
}


@pytest.mark.parametrize("name", TURNS)
def test_pictures_are_turned_as_they_are_to_be_shown(tmp_path, name):
    turned, by_hand = TURNS[name]
    plain = VideoReader(film(tmp_path / "plain.mp4", range(3))).read(0, 3)
    reader = VideoReader(film(tmp_path / "turned.mp4", range(3), turned=turned))
    wanted = by_hand(plain)
    assert (reader.height, reader.width) == wanted.shape[1:3]
    assert (reader.read(0, 3) == wanted).all()


def test_a_picture_at_an_angle_is_refused(tmp_path):
    with pytest.raises(FootpassError, match="turned by 45 degrees; expected a multiple of 90"):
        VideoReader(film(tmp_path / "a.mp4", range(3), turned={"degrees": 45})).read(0, 1)


def test_the_video_is_read_whatever_else_is_in_the_file(tmp_path):
    """A small preview comes first, a cover and sound besides."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        small, large = (container.add_stream("mpeg4", rate=25) for _ in range(2))
        cover, sound = container.add_stream("mjpeg", rate=25), container.add_stream("pcm_s16le", rate=8000)
        cover.disposition = Disposition.attached_pic
        for stream, size in ((small, (24, 32)), (large, SIZE), (cover, (96, 128))):
            stream.height, stream.width = size
            stream.pix_fmt = "yuvj420p" if stream is cover else "yuv420p"
        for number in range(10):
            for stream, shown in ((small, 99), (large, number), (cover, 77))[: 3 if number == 0 else 2]:
                frame = av.VideoFrame.from_ndarray(coded([shown], stream.height, stream.width)[0], format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            noise = av.AudioFrame.from_ndarray(np.zeros((1, 320), np.int16), format="s16", layout="mono")
            noise.rate, noise.pts = 8000, 320 * number
            container.mux(sound.encode(noise))
        for stream in (small, large, cover, sound):
            container.mux(stream.encode(None))
    assert found(VideoReader(path)) == list(range(10))


# the command


@pytest.mark.parametrize(
    "numbers, rate, wanted",
    [
        (range(60), 50, range(0, 60, 2)),
        (range(60), Fraction(30000, 1001), [round(n * 30000 / 1001 / 25) for n in range(50)]),
        (HOLE, 25, [39 if n in (40, 41) else 43 if n == 42 else n for n in range(60)]),
    ],
    ids=["50", "29.97", "holes"],
)
def test_video_makes_what_the_reader_takes(tmp_path, capsys, numbers, rate, wanted):
    source, target = film(tmp_path / "a.mp4", numbers, rate=Fraction(rate)), tmp_path / "b.mp4"
    assert main(["video", str(source), "--out", str(target), "--width", "32", "--height", "24"]) == 0
    reader = VideoReader(target)
    assert (reader.height, reader.width, found(reader)) == (24, 32, list(wanted))
    said = capsys.readouterr().out
    assert f"{len(wanted)} frames, 24 high and 32 wide, from {len(numbers)} pictures" in said
    assert ("3 frames repeat the picture before them: 40, 41, 43" in said) == (numbers is HOLE)


def test_video_goes_by_a_given_rate_where_stamps_are_of_no_use(tmp_path, capsys):
    bare, target = film(tmp_path / "a.h264", range(30), b_frames=2, container="h264"), tmp_path / "b.mp4"
    line = ["video", str(bare), "--out", str(target), "--width", "64", "--height", "48"]
    assert main(line) == 1
    assert "picture 0 has no time stamp" in capsys.readouterr().err and not target.exists()
    assert main([*line, "--rate", "25"]) == 0
    assert found(VideoReader(target)) == list(range(30))


def test_video_turns_pictures_and_keeps_their_colours(tmp_path):
    pictures = np.zeros((5, *SIZE, 3), np.uint8)
    pictures[:, :24], pictures[:, 24:] = (200, 60, 30), (20, 90, 160)
    source = film(tmp_path / "a.mp4", range(5), pictures=pictures, turned={"degrees": 90})
    resample_video(source, tmp_path / "b.mp4", 64, 48)
    made, wanted = (VideoReader(tmp_path / name).read(0, 5).astype(int) for name in ("b.mp4", "a.mp4"))
    assert made.shape == (5, 64, 48, 3) and np.abs(made - wanted).mean() < 3
    assert (made[0, 32, 4] > made[0, 32, 44]).tolist() == [True, False, False]


def test_video_refuses_what_it_cannot_make(tmp_path, capsys):
    path = film(tmp_path / "a.mp4", range(5))
    content = path.read_bytes()
    (tmp_path / "link.mp4").symlink_to(path)
    for out, options, message in (
        (path, (), "is read by this command"),
        (tmp_path / "link.mp4", (), "is read by this command"),
        (tmp_path / "b.mp4", ("--height", "351"), "even height and width"),
        (tmp_path / "b.mp4", ("--rate", "nan"), "expected a rate of 1 to 1000"),
    ):
        assert main(["video", str(path), "--out", str(out), *options]) == 1
        assert message in capsys.readouterr().err
    assert path.read_bytes() == content and not (tmp_path / "b.mp4").exists()
    leap = film(tmp_path / "leap.mp4", range(4), [0, 1, 2, 30000])
    with pytest.raises(FootpassError, match="nothing is shown for 1200 s after picture 2"):
        resample_video(leap, tmp_path / "b.mp4", *SIZE)


def test_video_says_that_its_source_is_cut_short(tmp_path, capsys):
    path = film(tmp_path / "a.mkv", range(60), codec="mpeg4")
    with av.open(str(path)) as given, av.open(str(tmp_path / "b.mp4"), "w", options={"movflags": "faststart"}) as made:
        copy = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.pts is not None:
                packet.stream = copy
                made.mux(packet)
    content = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: -len(content) // 4])
    assert main(["video", str(tmp_path / "cut.mp4"), "--out", str(tmp_path / "c.mp4"), "--height", "48"]) == 0
    assert "warning: " in (said := capsys.readouterr().err) and "cut short or damaged" in said
    reader = VideoReader(tmp_path / "c.mp4")
    assert found(reader) == list(range(reader.n_frames)) and 20 < reader.n_frames < 60

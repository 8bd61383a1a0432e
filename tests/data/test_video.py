"""Videos carry their frame number as 12 black or white blocks, so that every decoded picture says which one it is."""

import hashlib
import io
import multiprocessing
import os
import pickle
from fractions import Fraction

import av
import numpy as np
import pytest

from footpass_lib.data.encode import VideoWriter, clip_bytes
from footpass_lib.data.video import VideoReader
from footpass_lib.data.video_index import index_video
from footpass_lib.schema import FootpassError

BITS = 12


def coded(numbers, height=48, width=64):
    """Pictures (T, H, W, 3) with each number in a grid of 3 x 4 blocks, most significant bit first."""
    bits = (np.asarray(numbers)[:, None] >> np.arange(BITS)[::-1]) & 1
    blocks = (bits.reshape(-1, 3, 4) * 215 + 20).astype(np.uint8)
    rows, columns = np.arange(height) * 3 // height, np.arange(width) * 4 // width
    return np.repeat(blocks[:, rows][:, :, columns, None], 3, axis=3)


def decoded(frames):
    """The numbers that pictures carry."""
    height, width = frames.shape[1:3]
    rows, columns = (2 * np.arange(3) + 1) * height // 6, (2 * np.arange(4) + 1) * width // 8
    bits = frames[:, rows][:, :, columns, 0].reshape(len(frames), BITS) > 127
    return bits @ (1 << np.arange(BITS)[::-1])


def encode(path, n=150, size=(48, 64), gop=12, b_frames=0, first_pts=0, rate=25, container_format="mp4", options=None):
    """Write a coded video with settings that the library's own writer does not offer."""
    with av.open(str(path), "w", format=container_format, options=options or {}) as container:
        parameters = f"keyint={gop}:min-keyint=1:scenecut=0:bframes={b_frames}:b-adapt=0:threads=1"
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "x264-params": parameters})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for number, picture in enumerate(coded(range(n), *size)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = first_pts + number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("video") / "game_3.mp4", n=150, gop=12, b_frames=3)


def part_files(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


# reading


def test_the_code_survives_by_itself():
    assert decoded(coded([0, 1, 2047, 2048, 4095])).tolist() == [0, 1, 2047, 2048, 4095]


@pytest.mark.parametrize("size", [(48, 64), (90, 162)])
@pytest.mark.parametrize("b_frames", [0, 3])
@pytest.mark.parametrize("gop", [1, 2, 12, 250])
def test_every_access_pattern_gives_the_exact_frames(tmp_path, gop, b_frames, size):
    path = encode(tmp_path / "game_0.mp4", gop=gop, b_frames=b_frames, size=size)
    with VideoReader(path) as reader:
        assert (reader.n_frames, reader.height, reader.width) == (150, *size)
        every = reader.read(0, 150)
        assert decoded(every).tolist() == list(range(150))
        order = np.random.default_rng(gop).permutation(150)[:40]
        for number in order:  # single frames, forwards and backwards
            assert (reader.read(number, number + 1)[0] == every[number]).all()
        for start in (0, 7, 11, 12, 13, 100):  # across keyframes
            assert (reader.read(start, start + 30) == every[start : start + 30]).all()
        assert (reader.read_frames(order) == every[order]).all()


def test_frames_may_repeat_and_ranges_may_be_empty(video):
    reader = VideoReader(video)
    assert decoded(reader.read_frames([5, 140, 5, 0])).tolist() == [5, 140, 5, 0]
    assert reader.read(9, 9).shape == (0, 48, 64, 3)
    assert reader.read_frames([]).shape == (0, 48, 64, 3)


def test_b_frames_really_are_in_the_test_video(video):
    with av.open(str(video)) as container:
        stamps = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert stamps != sorted(stamps)


@pytest.mark.parametrize(("suffix", "container_format"), [("mp4", "mp4"), ("mkv", "matroska"), ("ts", "mpegts")])
def test_a_video_that_starts_late_counts_from_zero(tmp_path, suffix, container_format):
    path = encode(tmp_path / f"late.{suffix}", first_pts=77, b_frames=2, container_format=container_format)
    reader = VideoReader(path)
    assert reader.index.pts[0] > 0
    assert reader.n_frames == 150
    for numbers in ([0], [149], [60, 61, 62], [3, 140]):
        assert decoded(reader.read_frames(numbers)).tolist() == numbers


def test_an_open_group_of_pictures_does_not_shift_frames(tmp_path):
    path = tmp_path / "open.mp4"
    with av.open(str(path), "w") as container:
        parameters = "keyint=10:min-keyint=10:scenecut=0:bframes=3:b-adapt=0:open-gop=1:threads=1"
        stream = container.add_stream("libx264", rate=25, options={"crf": "20", "x264-params": parameters})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for number, picture in enumerate(coded(range(60))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    every = VideoReader(path).read(0, 60)
    assert decoded(every).tolist() == list(range(60))
    for number in range(59, -1, -1):
        assert (VideoReader(path).read(number, number + 1)[0] == every[number]).all()


def test_the_index_lists_keyframes_without_decoding(tmp_path):
    index = index_video(encode(tmp_path / "game_0.mp4", n=40, gop=12))
    assert index.keyframes.tolist() == [0, 12, 24, 36]
    assert index.announced == 40
    assert index.fps == pytest.approx(25)


def test_a_stream_gives_every_frame_once_without_seeking(video):
    class Seekless:
        def seek(self, *args, **kwargs):
            raise AssertionError("a stream must not seek")

    reader = VideoReader(video)
    pieces = reader.stream(3, 150, batch=16)
    got = [next(pieces)]
    reader._decoder._container = Seekless()
    got += list(pieces)
    assert [len(piece) for piece in got] == [16] * 9 + [3]
    assert decoded(np.concatenate(got)).tolist() == list(range(3, 150))


def test_a_stream_stays_right_when_other_frames_are_read_in_between(video):
    reader = VideoReader(video)
    got = []
    for piece in reader.stream(20, 60, batch=10):
        got += decoded(piece).tolist()
        assert decoded(reader.read(140, 143)).tolist() == [140, 141, 142]
    assert got == list(range(20, 60))


def test_several_decoding_threads_give_the_same_pictures(video):
    assert (VideoReader(video, threads=2).read(0, 150) == VideoReader(video).read(0, 150)).all()


def _read_in_child(reader, numbers, answers):
    frames = reader.read_frames(numbers)
    answers.put((numbers[0], decoded(frames).tolist(), reader._decoder.pid == os.getpid()))


def test_two_forked_workers_and_their_parent_do_not_disturb_each_other(tmp_path):
    noise = np.random.default_rng(0).integers(-15, 16, (150, 96, 128, 3))
    with VideoWriter(tmp_path / "large.mp4", 96, 128, crf=5, gop=250) as writer:
        writer.write(np.clip(coded(range(150), 96, 128) + noise, 0, 255).astype(np.uint8))
    # Larger than what is read ahead: sharing the place in the file would then mix up what the processes read.
    assert (tmp_path / "large.mp4").stat().st_size > 1_000_000
    reader = VideoReader(tmp_path / "large.mp4")
    assert decoded(reader.read(40, 44)).tolist() == [40, 41, 42, 43]  # open, in the middle of the file
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    tasks = [list(range(44, 150)), list(range(5, 90))]
    workers = [context.Process(target=_read_in_child, args=(reader, task, answers)) for task in tasks]
    for worker in workers:
        worker.start()
    assert decoded(reader.read(44, 120)).tolist() == list(range(44, 120))
    got = sorted(answers.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join(timeout=60)
    assert got == [(5, tasks[1], True), (44, tasks[0], True)]


def test_an_open_reader_can_be_pickled(video):
    reader = VideoReader(video)
    reader.read(70, 71)
    copy = pickle.loads(pickle.dumps(reader))
    assert copy._decoder is None
    assert decoded(copy.read(70, 75)).tolist() == decoded(reader.read(70, 75)).tolist() == [70, 71, 72, 73, 74]


def test_a_closed_reader_opens_again(video):
    with VideoReader(video) as reader:
        reader.read(100, 101)
    assert decoded(reader.read(2, 4)).tolist() == [2, 3]


# what cannot be read


@pytest.mark.parametrize("numbers", [[-1], [150], [0, 151]])
def test_a_frame_out_of_range_is_named(video, numbers):
    wrong = max(numbers, key=lambda number: (number < 0 or number > 149, number))
    with pytest.raises(FootpassError, match=rf"game_3\.mp4: there is no frame {wrong}; the video has 150"):
        VideoReader(video).read_frames(numbers)
    with pytest.raises(FootpassError, match="there is no frame 150"):
        VideoReader(video).stream(140, 151, batch=5)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FootpassError, match=r"game_9\.mp4: there is no such file"):
        _ = VideoReader(tmp_path / "game_9.mp4").n_frames


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_named(tmp_path, content):
    path = tmp_path / "game_9.mp4"
    path.write_bytes(content)
    with pytest.raises(FootpassError, match=r"game_9\.mp4: cannot be read as a video"):
        VideoReader(path).read(0, 1)


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(FootpassError, match="holds no video stream"):
        _ = VideoReader(path).height


def test_a_wrong_rate_is_refused(tmp_path):
    fast = encode(tmp_path / "fast.mp4", n=30, rate=50)
    with pytest.raises(FootpassError, match=r"fast\.mp4: has 50\.00 frames a second; expected 25"):
        VideoReader(fast).read(0, 1)
    assert decoded(VideoReader(fast, expect_fps=None).read(0, 30)).tolist() == list(range(30))


@pytest.mark.parametrize("share", [0.35, 0.6, 0.97])
@pytest.mark.parametrize("b_frames", [0, 3])
def test_a_video_cut_short_gives_right_frames_up_to_the_cut(tmp_path, share, b_frames):
    whole = encode(tmp_path / "whole.mp4", n=200, b_frames=b_frames, options={"movflags": "+faststart"})
    path = tmp_path / "cut.mp4"
    content = whole.read_bytes()
    pictures = content.index(b"mdat")  # what comes before tells where each picture lies
    path.write_bytes(content[: pictures + int((len(content) - pictures) * share)])
    every = VideoReader(whole).read(0, 200)
    reader = VideoReader(path)
    assert 0 < reader.n_frames < 200
    assert (reader.index.pts == index_video(whole).pts[reader.index.numbers]).all()
    assert np.flatnonzero(np.diff(reader.index.numbers) > 1).size <= 1  # at the cut, where B-frames lack
    delivered = 0
    with pytest.raises(FootpassError, match=r"cut\.mp4: (frame|there is no frame) (\d+)") as caught:
        for number in range(200):
            assert (reader.read(number, number + 1)[0] == every[number]).all()
            delivered += 1
    assert f"frame {delivered}" in str(caught.value)
    assert delivered > 200 * share / 3
    with pytest.raises(FootpassError, match=r"no frame 199; .* \(cut short: its header announces 200\)"):
        reader.read(199, 200)


def test_a_video_whose_header_is_cut_off_is_named(tmp_path, video):
    path = tmp_path / "cut.mp4"
    path.write_bytes(video.read_bytes()[:2000])
    with pytest.raises(FootpassError, match=r"cut\.mp4: cannot be read as a video; it is damaged or cut short"):
        VideoReader(path).read(0, 1)


def test_damage_in_the_middle_never_gives_a_wrong_picture(tmp_path):
    whole = encode(tmp_path / "whole.mp4", size=(128, 224), gop=25, b_frames=2)
    every = VideoReader(whole).read(0, 150)
    content = bytearray(whole.read_bytes())
    middle = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2
    content[middle : middle + 300] = bytes(300)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    reader, refused = VideoReader(path), []
    for number in range(150):
        try:
            assert (reader.read(number, number + 1)[0] == every[number]).all()
        except FootpassError as error:
            assert f"damaged.mp4: frame {number} cannot be decoded" in str(error)
            refused.append(number)
    assert 0 < len(refused) < 75


# writing


def test_what_is_written_is_read_again(tmp_path):
    pictures = coded(range(60), 64, 112)
    with VideoWriter(tmp_path / "deep" / "game_1.mp4", 64, 112, gop=10) as writer:
        writer.write(pictures[:37])
        writer.write(pictures[37:])
        assert writer.n_frames == 60
    reader = VideoReader(tmp_path / "deep" / "game_1.mp4")
    got = reader.read(0, 60)
    assert decoded(got).tolist() == list(range(60))
    assert np.abs(got.astype(int) - pictures).mean() < 4
    assert np.diff([*reader.index.keyframes, 60]).max() <= 10
    with av.open(str(tmp_path / "deep" / "game_1.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 25


def test_colours_stay_in_their_channels(tmp_path):
    picture = np.zeros((5, 32, 48, 3), np.uint8)
    picture[..., :] = (200, 90, 30)
    with VideoWriter(tmp_path / "colour.mp4", 32, 48) as writer:
        writer.write(picture)
    got = VideoReader(tmp_path / "colour.mp4").read(0, 5)
    assert np.abs(got.astype(int) - picture).max() <= 4


def test_equal_frames_give_equal_bytes(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (80, 48, 64, 3), dtype=np.uint8)
    hashes = set()
    for name, split in (("a.mp4", 80), ("b.mp4", 80), ("c.mp4", 13)):
        with VideoWriter(tmp_path / name, 48, 64) as writer:
            writer.write(pictures[:split])
            writer.write(pictures[split:])
        hashes.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(hashes) == 1


def test_a_lower_crf_is_closer_to_the_frames(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (10, 48, 64, 3), dtype=np.uint8)
    sizes = []
    for crf in (10, 40):
        with VideoWriter(tmp_path / f"{crf}.mp4", 48, 64, crf=crf) as writer:
            writer.write(pictures)
        sizes.append((tmp_path / f"{crf}.mp4").stat().st_size)
    assert sizes[0] > 2 * sizes[1]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "game_1.mp4"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), VideoWriter(path, 48, 64) as writer:
        writer.write(coded(range(40)))
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    with pytest.raises(FootpassError, match=r"game_1\.mp4: no frame was written"), VideoWriter(path, 48, 64):
        pass
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["game_1.mp4"]


def test_the_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "game_1.mp4"
    with VideoWriter(path, 48, 64) as writer:
        writer.write(coded(range(10)))
        assert not path.exists()
        assert len(part_files(tmp_path)) == 1
    assert path.exists()
    assert not part_files(tmp_path)


@pytest.mark.parametrize("size", [(47, 64), (48, 63), (0, 64)])
def test_odd_sizes_are_refused(tmp_path, size):
    with pytest.raises(FootpassError, match="even height and width"):
        VideoWriter(tmp_path / "a.mp4", *size)


def test_wrong_settings_are_refused(tmp_path):
    with pytest.raises(FootpassError, match="crf from 0 to 51"):
        VideoWriter(tmp_path / "a.mp4", 48, 64, crf=52)
    with pytest.raises(FootpassError, match="gop of at least 1"):
        VideoWriter(tmp_path / "a.mp4", 48, 64, gop=0)
    with pytest.raises(FootpassError, match="the encoder refuses"), VideoWriter(tmp_path / "a.mp4", 48, 64, preset="x"):
        pass
    assert not list(tmp_path.iterdir())


def test_wrong_frames_are_refused(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", 48, 64)
    with pytest.raises(FootpassError, match="inside its with block"):
        writer.write(coded([0]))
    for frames in (coded([0], 46, 64), coded([0]).astype(float), coded([0])[0]):
        with pytest.raises(FootpassError, match=r"expected uint8 of shape \(T, 48, 64, 3\)"), writer:
            writer.write(frames)
    assert not list(tmp_path.iterdir())


def test_a_clip_in_memory_plays_the_same_frames():
    content = clip_bytes(coded(range(75)))
    with av.open(io.BytesIO(content)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        assert container.streams.video[0].average_rate == 25
    assert decoded(frames).tolist() == list(range(75))
    assert content == clip_bytes(coded(range(75)))
    with pytest.raises(FootpassError, match=r"shape \(T, H, W, 3\)"):
        clip_bytes(coded([0])[0])

"""``python -m footpass_lib video``: make a video that the study reads from one of another rate, size or order."""

from __future__ import annotations

import argparse
from pathlib import Path

from footpass_lib.schema import VIDEO_SIZE


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command ``video`` to a command line."""
    parser = commands.add_parser("video")
    add = parser.add_argument
    add("source", type=Path, help="a video of any rate and size, in any container")
    add("--out", type=Path, required=True, help="mp4 to write: each frame is the picture nearest to its time")
    add("--width", type=int, default=VIDEO_SIZE[1], help="pixels (%(default)s, as the archive's small videos)")
    add("--height", type=int, default=VIDEO_SIZE[0], help="pixels (%(default)s)")
    add("--rate", type=float, metavar="FPS", help="pictures a second of the source, in place of its time stamps")
    add("--crf", type=int, default=20, help="quality, 0 (lossless) to 51 (%(default)s)")
    parser.set_defaults(run=run_video)


def run_video(options: argparse.Namespace) -> None:
    """``video``: write the file, and say which frames have no picture of their own."""
    from footpass_lib.data.resample import resample_video

    size = options.height, options.width
    made = resample_video(options.source, options.out, *size, options.rate, options.crf, progress=True)
    print(f"{options.out}: {made.n_frames} frames, {size[0]} high and {size[1]} wide, from {made.n_pictures} pictures")
    if made.repeated:
        listed = ", ".join(map(str, made.repeated[:5])) + ", ..." * (len(made.repeated) > 5)
        print(f"{len(made.repeated)} frames repeat the picture before them: {listed}")

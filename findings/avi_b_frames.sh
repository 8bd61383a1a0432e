#!/usr/bin/env bash
# H.264 with B-frames in an AVI. Guess: packets have no presentation time stamp (AVI keeps none), so a reader notices.
# Seen with av 18.1.0: every packet has one, in the order in which pictures are stored. Decoded frames carry them along:
# they come in the right order with the time stamps 1 3 4 5 2 7 8 9, so that sorting or seeking by them takes one
# picture for another, and nothing is None or raises. mp4 of the same pictures: 0 1 2 3 4 5 6 7.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from fractions import Fraction

import av
import numpy as np

seen = {}
for kind in ("avi", "mp4"):
    with av.open(f"a.{kind}", "w") as container:
        settings = "keyint=24:bframes=3:b-adapt=0:b-pyramid=none:scenecut=0:threads=1"
        stream = container.add_stream("libx264", rate=25, options={"x264-params": settings})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(f"a.{kind}") as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    with av.open(f"a.{kind}") as container:
        frames = list(container.decode(video=0))
    brightness = [int(frame.to_ndarray(format="rgb24").mean()) for frame in frames]
    assert brightness == sorted(brightness), brightness  # the decoder gives them in the right order
    step = min(np.diff(sorted(frame.pts for frame in frames)))
    seen[kind] = [int(frame.pts // step) for frame in frames][:8], sum(packet.pts is None for packet in packets)
    print(f"av {av.__version__}, {kind}: frame.pts {seen[kind][0]}, packets without pts: {seen[kind][1]}")
assert seen["mp4"] == ([0, 1, 2, 3, 4, 5, 6, 7], 0), seen
assert seen["avi"][1] == 0 and seen["avi"][0] != sorted(seen["avi"][0]), seen
assert seen["avi"][0] == [1, 3, 4, 5, 2, 7, 8, 9], seen
PYTHON

#!/usr/bin/env bash
# VideoFrame.rotation of videos that are to be shown mirrored. Guess: flips are left out of account, a mirrored
# picture has 0.
# Seen with av 18.1.0: one to be shown mirrored (columns reversed) has the rotation of a half turn, -180; one with its rows
# reversed has 0, as one that is shown as it is stored. Only the matrix in frame.side_data tells them apart.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
import av
import numpy as np

seen = {}
for name, turned in {
    "as stored": {"degrees": 0},
    "half turn": {"degrees": 180},
    "mirrored": {"degrees": 0, "hflip": True},
    "upside down": {"degrees": 0, "vflip": True},
}.items():
    with av.open("a.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(**turned)
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open("a.mp4") as container:
        frame = next(container.decode(video=0))
    matrix = frame.side_data.get("DISPLAYMATRIX")
    signs = None if matrix is None else np.sign(np.frombuffer(bytes(matrix), np.int32))[[0, 1, 3, 4]].tolist()
    seen[name] = frame.rotation, signs
    print(f"av {av.__version__}, {name}: rotation {frame.rotation}, signs of the matrix {signs}")
assert seen["half turn"] == (-180, [-1, 0, 0, -1]), seen
assert seen["mirrored"] == (-180, [-1, 0, 0, 1]), seen
assert seen["upside down"] == (0, [1, 0, 0, -1]), seen
assert seen["as stored"][0] == 0, seen
PYTHON

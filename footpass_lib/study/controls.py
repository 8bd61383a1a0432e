"""Controls of the logit fusion: what else stands in the place of the graph network's logits.

A gain of the fused model may come from the graph network's context, or from more numbers, or from any second opinion.
Each control has the fused model's sizes, first weights and training, and other files for its second source.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.logits import read_attribute, read_logits, write_logits
from footpass_lib.files import file_key, key_of
from footpass_lib.schema import FootpassError
from footpass_lib.study import taad as detector
from footpass_lib.study.dst import LogitsFiles
from footpass_lib.study.matches import sequence_part
from footpass_lib.study.place import Study

CONTROLS = {
    "taad-twice": "TAAD twice",
    "other-taad": "TAAD of another seed",
    "shuffled": "GNN, shuffled in time",
}


def control_logits(study: Study, root: DataRoot, control: str, logits: LogitsFiles) -> LogitsFiles:
    """The logits of a control for the splits of ``logits``, those of both detectors; made where they are missing.

    ``taad-twice`` has the detector's a second time. ``other-taad`` has those of a detector that was trained with the
    next seed. ``shuffled`` has the graph network's of another time of the same half, with all players at once. The
    sequence model's own training matches suffice. FootpassError if there is no such control.
    """
    if control not in CONTROLS:
        raise FootpassError(f"unknown control {control!r} of the fusion; expected one of {', '.join(CONTROLS)}")
    part = sequence_part(study, root)
    if control == "taad-twice":
        second = dict(logits["taad"])
    elif control == "other-taad":
        model, _ = detector.train_taad(study, root, study.seed + 1)
        name = f"taad-seed{study.seed + 1}"
        second = {split: detector.detect(study, part, split, model, name, features=False) for split in logits["gnn"]}
    else:
        folder = study.models / f"gnn-shuffled-seed{study.seed}"
        second = {
            split: shuffle_in_time(part, split, Path(path), folder / f"preds_{split}.h5", study.seed)
            for split, path in logits["gnn"].items()
        }
    return {"taad": logits["taad"], "gnn": second}


def shuffle_in_time(root: DataRoot, split: str, logits: Path, out: Path, seed: int) -> Path:
    """Write the logits of a split with those of each half moved by a quarter to three quarters of it, in a circle.

    So every player's logits are as they were, but speak of another time; what a frame says of the 26 slots together
    stays as it was, too. A file that was made from the same logits is left as it is.
    """
    key = key_of(file_key(logits), root.halves(split), seed)
    if read_attribute(out, "moved") == key:
        return out
    pieces = []
    for number, name in enumerate(root.halves(split)):
        half = root.half(name)
        low, high = half.n_frames // 4, 3 * half.n_frames // 4
        by = int(np.random.default_rng([seed, number]).integers(low, high, endpoint=True))
        pieces.append((name, half.first_frame, np.roll(read_logits(logits, name, half.frames), by, axis=2)))
    write_logits(out, pieces, {"moved": key})
    return out

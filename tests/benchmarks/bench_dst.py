"""A training sample of the sequence model from the file of a half, and greedy decoding, against straightforward ways.

Run by hand: ``python tests/benchmarks/bench_dst.py [--windows 4] [--tokens 25] [--quick] [--json]``, with the
repository's root in ``PYTHONPATH``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from footpass_lib.data.half import TacticalHalf, dense_half
from footpass_lib.data.tactical import write_tactical
from footpass_lib.models.dst import DST, DSTSettings, Logits, Memory, choose_token
from footpass_lib.samples.tokens import ABSENT, EOS, LOGITS_WIDTH, N_STATE, NEUTRAL, SOS, STATE_WIDTH, DSTHalf, dst_half
from footpass_lib.samples.windows import DSTWindows, Window, WindowBatch, WindowSettings, collate_windows, cut_window
from footpass_lib.schema import COLUMN, MIRRORS, N_CLASSES, N_SLOTS
from footpass_lib.spotting.decoding import decode_memory, first_tokens
from footpass_lib.training.dst_loss import DSTLoss
from tests.benchmarks.common import CLASS, FRAME, HALF, ROLE, TEAM, Arrays, Case, best, main, wandering_rows

_MOTION = slice(COLUMN["x"], COLUMN["speed_y"] + 1)


@dataclass(frozen=True)
class Sizes:
    """Frames of the half and of a window, windows and tokens that are decoded, and the model."""

    frames: int = 75_000
    window: int = 750
    windows: int = 4
    tokens: int = 25
    width: int = 512
    layers: int = 6
    seed: int = 0

    @property
    def settings(self) -> WindowSettings:
        """Shape of the windows."""
        return WindowSettings(window=self.window, max_tokens=self.tokens)


FULL, QUICK = Sizes(), Sizes(frames=400, window=160, windows=2, tokens=5, width=32, layers=1)


def random_logits(sizes: Sizes) -> np.ndarray:
    """A detector's logits (9, 26, T), as they are stored."""
    rng = np.random.default_rng(sizes.seed)
    return rng.normal(0, 3, (N_CLASSES, N_SLOTS, sizes.frames)).astype(np.float16)


def sample_by_loops(path: Path, logits: np.ndarray, start: int, settings: WindowSettings) -> Arrays:
    """Read the whole half, find the window's rows, and fill its tokens in loops over rows and over slots and frames."""
    with h5py.File(path, "r") as file:
        rows = file[HALF][()]
    first = rows[:, FRAME].min() + start
    inside = rows[(rows[:, FRAME] >= first) & (rows[:, FRAME] < first + settings.window)]
    features = np.zeros((settings.window, STATE_WIDTH + LOGITS_WIDTH), np.float32)
    for slot in range(N_SLOTS):
        features[:, slot * N_STATE : slot * N_STATE + 4] = ABSENT
    events = []
    for row in inside:
        t, slot = int(row[FRAME] - first), int(row[TEAM]) * 13 + int(row[ROLE]) - 1
        features[t, slot * N_STATE : slot * N_STATE + 4] = row[_MOTION]
        features[t, slot * N_STATE + 4] = 1
        if row[CLASS]:
            events.append((t + 1, slot, int(row[CLASS]) - 1))
    for t in range(settings.window):
        for slot in range(N_SLOTS):
            column = STATE_WIDTH + slot * N_CLASSES
            features[t, column : column + N_CLASSES] = logits[:, slot, start + t]
    events.sort()
    after = events[-1][0] + 1 if events else 1
    tokens = [(SOS, NEUTRAL, 0), *((action, slot, frame) for frame, slot, action in events), (EOS, NEUTRAL, after)]
    return {"features": features, "tokens": np.array(tokens[: 1 + settings.max_tokens])}


def half_precision(sample: Arrays) -> Arrays:
    """The sample with features rounded as the library keeps them."""
    return {**sample, "features": sample["features"].astype(np.float16).astype(np.float32)}


def window_arrays(window: Window) -> Arrays:
    """What a window holds, as arrays."""
    return {"features": window.features.numpy(), "tokens": window.tokens.numpy()}


@torch.no_grad()
def decode_recomputing(model: DST, memory: Memory, max_tokens: int) -> Arrays:
    """Tokens (B, max_tokens, 3) and their probabilities, the whole prefix being decoded again for every one of them."""
    tokens, probabilities = first_tokens(len(memory.states), memory.states.device), []
    for _ in range(max_tokens):
        logits = model.decode(tokens, memory, model.start(memory))
        chosen, confidence = choose_token(Logits(*(values[:, -1] for values in logits[:3])), memory.n_frames)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)
        probabilities.append(confidence)
    written = {"tokens": tokens[:, 1:], "probabilities": torch.stack(probabilities, dim=1)}
    return {name: tensor.cpu().numpy() for name, tensor in written.items()}


def endless_model(sizes: Sizes) -> DST:
    """A model with random weights that never ends a window, so that all tokens are written."""
    width, layers = sizes.width, sizes.layers
    shape = {"width": width, "feedforward": 4 * width, "encoder_layers": layers, "decoder_layers": layers}
    return without_end(DST(DSTSettings(windows=sizes.settings, **shape), seed=sizes.seed))


def without_end(model: DST) -> DST:
    """The model in evaluation mode, its end token made so unlikely that every window is written to its last token."""
    with torch.no_grad():
        model.action_role_head.bias[EOS] = -1e4
    return model.eval()


def half_of(sizes: Sizes) -> tuple[np.ndarray, TacticalHalf]:
    """Rows and arrays of the half."""
    rows = wandering_rows(sizes.frames, sizes.seed)
    return rows, dense_half(rows, HALF)


def cases(sizes: Sizes) -> Iterator[Case]:
    """A training sample, and greedy decoding."""
    rows, half = half_of(sizes)
    logits, settings, start = random_logits(sizes), sizes.settings, sizes.frames // 2
    dense = dst_half(half, logits)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.h5"
        write_tactical(path, {HALF: rows})
        yield Case(
            "training sample of the sequence model",
            "reading the whole half and filling tokens in loops, against a window of a half prepared once; logits are "
            "in memory in both; features compared as float16, which is how the library keeps them",
            f"{sizes.window} frames x {dense.features.shape[1]} of {sizes.frames:,} frames, {len(rows):,} rows",
            lambda: sample_by_loops(path, logits, start, settings),
            lambda: cut_window(dense, start, settings),
            plain_arrays=half_precision,
            library_arrays=window_arrays,
        )
    model, batch = endless_model(sizes), window_batch(dense, sizes)
    with torch.no_grad():
        memory = model.encode(batch.features, batch.n_frames)
    yield Case(
        "greedy decoding",
        "the whole prefix decoded again for every token, against kept keys and values; without the encoder",
        f"{sizes.windows} windows x {sizes.tokens} tokens, width {sizes.width}, {sizes.layers} layers",
        lambda: decode_recomputing(model, memory, sizes.tokens),
        lambda: decode_memory(model, memory, sizes.tokens),
        tolerance=1e-4,
        library_arrays=lambda written: {name: getattr(written, name).numpy() for name in ("tokens", "probabilities")},
    )


def window_batch(half: DSTHalf, sizes: Sizes) -> WindowBatch:
    """Contiguous windows of a half."""
    return collate_windows([cut_window(half, sizes.window * i, sizes.settings) for i in range(sizes.windows)])


def figures(sizes: Sizes) -> dict[str, float]:
    """What else of the library takes time, in seconds."""
    _, half = half_of(sizes)
    logits, settings, start = random_logits(sizes), sizes.settings, sizes.frames // 2
    found = {"prepare a half": best(lambda: dst_half(half, logits), 1).seconds}
    dense, two = dst_half(half, logits), dst_half(half, logits, logits)
    for mirror in MIRRORS:
        cut = best(lambda mirror=mirror: cut_window(dense, start, settings, mirror), 0.5)
        found[f"window, mirror {mirror}"] = cut.seconds
    found["window, two sources, mirror xy"] = best(lambda: cut_window(two, start, settings, "xy"), 0.5).seconds
    data = DSTWindows([dense], settings, 0, 1, 200)
    found["random window"] = best(lambda: [data[i] for i in range(len(data))], 1).seconds / len(data)
    model, batch = endless_model(sizes), window_batch(dense, sizes)
    with torch.no_grad():
        found["encode"] = best(lambda: model.encode(batch.features, batch.n_frames), 1).seconds
    model.train()
    found["training step without update"] = best(lambda: DSTLoss()(model, batch).mean.backward(), 1).seconds
    return found


if __name__ == "__main__":
    main(__doc__, cases, FULL, QUICK, figures)

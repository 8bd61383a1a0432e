"""Time of a training sample of the sequence model, and of greedy decoding with and without kept keys and values.

Run by hand: ``python tests/benchmarks/bench_dst.py [--windows 4] [--tokens 25] [--repeats 3] [--json]``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from footpass_lib.decoding import choose, decode_memory, dst_loss, first_tokens
from footpass_lib.dense import TacticalHalf
from footpass_lib.models.dst import DST, DSTSettings, Logits, Memory
from footpass_lib.schema import MIRRORS, N_CLASSES, N_SLOTS
from footpass_lib.windows import EOS, DSTHalf, DSTWindows, WindowSettings, collate_windows, cut_window, dst_half

HALF_FRAMES = 75_000


def full_half(rng: np.random.Generator) -> TacticalHalf:
    """22 players of 26 slots, an event every 78 frames."""
    observed = rng.random((N_SLOTS, HALF_FRAMES)) < 22 / 26
    motion = rng.random((2, N_SLOTS, HALF_FRAMES, 2), dtype=np.float32)
    motion[:, ~observed] = np.nan
    class_id = np.zeros(observed.shape, np.uint8)
    index = rng.choice(HALF_FRAMES, HALF_FRAMES // 78, replace=False)
    class_id[rng.integers(0, N_SLOTS, len(index)), index] = rng.integers(1, N_CLASSES, len(index))
    box = np.full((N_SLOTS, 0, 4), np.nan, np.float32)  # windows use neither boxes nor jerseys
    jersey = np.ones((N_SLOTS, 0), np.int16)
    return TacticalHalf(
        "game_0_H1", 0, motion[0], motion[1], box, observed, observed, jersey, jersey, class_id, True, 0
    )  # fmt: skip


def best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of some runs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def sample_times(half: TacticalHalf, logits: np.ndarray) -> tuple[dict[str, float], DSTHalf]:
    """Seconds for preparing a half, for a window under each mirror, and for the average random item."""
    settings, start = WindowSettings(), HALF_FRAMES // 2
    figures = {"prepare_half": best(lambda: dst_half(half, logits), 2)}
    dense = dst_half(half, logits)
    for mirror in MIRRORS:
        figures[f"window_mirror_{mirror}"] = best(lambda mirror=mirror: cut_window(dense, start, settings, mirror), 200)
    two = dst_half(half, logits, logits)
    figures["window_two_sources_xy"] = best(lambda: cut_window(two, start, settings, "xy"), 200)
    data = DSTWindows([dense], settings, 0, 1, 200)
    figures["random_item"] = best(lambda: [data[i] for i in range(len(data))], 3) / len(data)
    return figures, dense


@torch.no_grad()
def decode_recomputing(model: DST, memory: Memory, max_tokens: int) -> Tensor:
    """Tokens (B, max_tokens, 3), the whole prefix being decoded again for every one of them."""
    tokens = first_tokens(len(memory.states), memory.states.device)
    for _ in range(max_tokens):
        logits = model.decode(tokens, memory, model.start(memory))
        chosen, _ = choose(Logits(*(values[:, -1] for values in logits[:3])), memory.n_frames)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)
    return tokens[:, 1:]


def decoding_times(half: DSTHalf, n_windows: int, max_tokens: int, repeats: int) -> dict[str, float]:
    """Seconds for encoding and decoding some windows at full size, with a model that never ends a window."""
    settings = DSTSettings()
    model = DST(settings).eval()
    with torch.no_grad():
        model.action_role_head.bias[EOS] = -1e4
    batch = collate_windows([cut_window(half, 750 * i, settings.windows) for i in range(n_windows)])
    with torch.no_grad():
        memory = model.encode(batch.features, batch.n_frames)
        encode = best(lambda: model.encode(batch.features, batch.n_frames), repeats)
    assert torch.equal(decode_memory(model, memory, max_tokens).tokens, decode_recomputing(model, memory, max_tokens))
    cached = best(lambda: decode_memory(model, memory, max_tokens), repeats)
    recomputing = best(lambda: decode_recomputing(model, memory, max_tokens), repeats)
    train = best(lambda: dst_loss(model.train(), batch).mean.backward(), 1)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "encode": encode,
        "decode_cached": cached,
        "decode_recomputing": recomputing,
        "ratio": recomputing / cached,
        "train_step_without_update": train,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (N_CLASSES, N_SLOTS, HALF_FRAMES)).astype(np.float16)
    figures, dense = sample_times(full_half(rng), logits)
    figures |= decoding_times(dense, arguments.windows, arguments.tokens, arguments.repeats)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:28} {value:14,.0f}" if name == "parameters" else f"{name:28} {value:14.6f}")


if __name__ == "__main__":
    main()

"""What the paper's sizes cost on a GPU: memory and time of training steps, of inference, and of writing events.

Run by hand on a machine with a GPU that nobody else uses: ``python -m tests.benchmarks.bench_gpu [--record]``. Inputs
are random or synthetic and stand in the GPU's memory, so that neither video nor disk counts; weights are random.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn

from footpass_lib.book import costs
from footpass_lib.files import write_json
from footpass_lib.models.dst import DST, DSTSettings
from footpass_lib.models.fast import autocast
from footpass_lib.models.gnn import TAADGNN
from footpass_lib.models.taad import TAAD
from footpass_lib.samples.tokens import dst_half
from footpass_lib.samples.windows import DSTWindows, WindowBatch, WindowSettings, collate_windows
from footpass_lib.schema import N_SLOTS
from footpass_lib.spotting.decoding import decode_memory
from footpass_lib.spotting.detector import gnn_logits, taad_logits
from footpass_lib.spotting.stitching import decode_half
from footpass_lib.study.place import find_project
from footpass_lib.study.profiles import PROFILES
from footpass_lib.study.results import hardware, versions
from footpass_lib.study.taad import clip_loss
from footpass_lib.training.dst_loss import DSTLoss
from footpass_lib.training.losses import gnn_loss
from footpass_lib.training.schedule import TrainSettings, parameter_groups
from tests.benchmarks.bench_dst import Sizes as DSTSizes
from tests.benchmarks.bench_dst import decode_recomputing, half_of, random_logits, without_end

GB = 1e9
SMALL_GPU = 22.0  # GB: the GPU that the paper names
_SECONDS = 4.0  # that each case is repeated for, after two warm-up runs
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Sizes:
    """Clips and windows of a batch, their lengths, frames of a half, and how many windows are written at once."""

    clips: int = 6
    frames: int = 50
    height: int = 352
    width: int = 640
    windows: int = 96
    half: int = 67_500
    written: tuple[int, ...] = (4, 64)
    tokens: int = 25


FULL = Sizes()
QUICK = Sizes(clips=2, frames=4, height=64, width=96, windows=4, half=1_600, written=(2,), tokens=3)


def synchronise() -> None:
    """Wait for the GPU, if there is one: its work goes on after a call has returned."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(work: Callable[[], object], seconds: float) -> dict[str, float | int]:
    """Median seconds of a call and the number of calls, and peak GB of the GPU's memory: in tensors, and reserved."""
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        work()
    synchronise()
    taken: list[float] = []
    while not taken or sum(taken) < seconds:
        began = time.perf_counter()
        work()
        synchronise()
        taken.append(time.perf_counter() - began)
    found: dict[str, float | int] = {"seconds": float(np.median(taken)), "runs": len(taken)}
    if on_gpu:
        found |= {
            "peak_gb": torch.cuda.max_memory_allocated() / GB,
            "reserved_gb": torch.cuda.max_memory_reserved() / GB,
        }
    return found


def attempt(about: dict, work: Callable[[], Callable[[], object]], seconds: float, limit: float | None = None) -> dict:
    """A row of the record: what ``work()`` makes, measured; ``fits`` says whether the memory was enough.

    With ``limit`` the process may reserve so many GB only, as on a smaller GPU.
    """
    row = {**about, "limit_gb": limit, "fits": True}
    if torch.cuda.is_available():
        whole = torch.cuda.get_device_properties(0).total_memory / GB
        torch.cuda.set_per_process_memory_fraction(1.0 if limit is None else min(1.0, limit / whole))
    try:
        row |= measure(work(), seconds)
    except torch.cuda.OutOfMemoryError:
        row["fits"] = False
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(1.0)
    print(row, flush=True)
    return row


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def random_batch(sizes: Sizes, players: int) -> Batch:
    """Clips of noise, in which every player has a box in every frame."""
    draw = torch.Generator().manual_seed(0)
    shape = (sizes.clips, players, sizes.frames)
    edge = torch.tensor([sizes.width, sizes.height])
    corner = torch.rand(*shape, 2, generator=draw) * edge * 0.8
    batch = {
        "video": torch.randn(sizes.clips, 3, sizes.frames, sizes.height, sizes.width, generator=draw),
        "boxes": torch.cat([corner, corner + edge / 10], dim=-1),
        "mask": torch.ones(shape),
        "labels": torch.randint(0, 9, shape, generator=draw),
        "slots": (torch.arange(players) % N_SLOTS).expand(sizes.clips, players),
        "position": torch.rand(*shape, 2, generator=draw),
        "velocity": torch.randn(*shape, 2, generator=draw),
        "observed": torch.ones(shape),
        "jersey": torch.ones(shape),
    }
    return {name: tensor.to(device()) for name, tensor in batch.items()}


def training_step(model: nn.Module, loss: Callable, batch: object, train: TrainSettings) -> Callable[[], object]:
    """One forward and backward pass over a batch, and an update, as ``fit`` does them."""
    optimizer = torch.optim.AdamW(parameter_groups(model.train().to(device()), train), fused=True)

    def step() -> None:
        optimizer.zero_grad()
        with autocast(device(), train.mixed_precision):
            total, weight = loss(model, batch)
        (total / weight).backward()
        if train.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), train.clip_norm)
        optimizer.step()
        if not total.isfinite():  # as fit does: waits for the GPU
            raise FloatingPointError(f"the loss is {float(total)}")

    return step


def graph_loss(model: nn.Module, batch: Batch) -> object:
    """The graph network's loss with its last power."""
    return gnn_loss(gnn_logits(model, batch), batch["labels"], batch["mask"], 1.25)


def detectors(sizes: Sizes, seconds: float) -> Iterator[dict]:
    """Training steps of both detectors, with and without checkpointing, also as on a small GPU; inference."""
    taad, gnn = PROFILES["full"].taad, PROFILES["full"].gnn
    phase = taad.phases[0]
    builds = {
        "TAAD": (TAAD, taad.model, clip_loss(phase), phase.train, 1 + phase.clips.n_negatives),
        "TAAD+GNN": (TAADGNN, gnn.model, graph_loss, gnn.train, N_SLOTS),
    }
    for name, (kind, settings, loss, train, players) in builds.items():
        batch = random_batch(sizes, players)
        for precision in ("bf16", "no"):
            for checkpointing in (True, False):
                own = replace(settings, encoder=replace(settings.encoder, checkpointing=checkpointing))
                about = {"model": name, "what": "training step", "precision": precision, "checkpointing": checkpointing}
                about |= {"batch": sizes.clips, "frames": sizes.clips * sizes.frames}

                def work(own=own, precision=precision, kind=kind, loss=loss, train=train, batch=batch) -> Callable:
                    return training_step(kind(own), loss, batch, replace(train, mixed_precision=precision))

                yield attempt(about, work, seconds)
                if precision == "bf16":
                    yield attempt(about, work, 0.0, SMALL_GPU)
        window = {key: value[:1] for key, value in batch.items()}
        for precision in ("bf16", "no"):
            about = {"model": name, "what": "inference", "precision": precision, "batch": 1, "frames": sizes.frames}
            yield attempt(
                about, lambda kind=kind, own=settings, w=window, p=precision: detection(kind(own), w, p), seconds
            )


def detection(model: nn.Module, window: Batch, precision: str) -> Callable[[], object]:
    """Logits of one window."""
    model = model.eval().to(device())

    @torch.inference_mode()
    def work() -> Tensor:
        with torch.autocast(device().type, torch.bfloat16, enabled=precision == "bf16"):
            return (gnn_logits if isinstance(model, TAADGNN) else taad_logits)(model, window)

    return work


def sequence_model(sizes: Sizes, seconds: float, settings: DSTSettings) -> Iterator[dict]:
    """Training steps of the sequence model, and writing events: kept keys and values, or everything again."""
    tactical, plan = half_of(DSTSizes(frames=sizes.half))[1], PROFILES["full"].dst
    half = dst_half(tactical, random_logits(DSTSizes(frames=sizes.half)))
    data = DSTWindows([half], settings.windows, 0, 1, sizes.windows)
    batch = send_to_device(collate_windows([data[i] for i in range(sizes.windows)]), device())
    for precision in ("bf16", "no"):
        about = {"model": "TAAD+DST", "what": "training step", "precision": precision, "batch": sizes.windows}
        train = replace(plan.train, mixed_precision=precision)
        yield attempt(about, lambda t=train: training_step(DST(settings), DSTLoss(), batch, t), seconds)
    model = without_end(DST(settings)).to(device())
    ways = {"kept keys and values": decode_memory, "everything again": decode_recomputing}
    for windows in sizes.written:
        some = WindowBatch(*(part[:windows] for part in batch))
        with torch.no_grad():
            memory = model.encode(some.features, some.n_frames)
        yield attempt(
            {"model": "TAAD+DST", "what": "encode", "precision": "no", "batch": windows},
            lambda m=some: torch.no_grad()(lambda: model.encode(m.features, m.n_frames)), seconds,
        )  # fmt: skip
        written = [way(model, memory, sizes.tokens) for way in ways.values()]
        same = bool((written[0].tokens == torch.as_tensor(written[1]["tokens"], device=device())).all())
        for way, decode in ways.items():
            about = {"model": "TAAD+DST", "what": f"write {sizes.tokens} tokens, {way}", "precision": "no"}
            about |= {"batch": windows, "same_tokens": same}
            yield attempt(about, lambda d=decode, m=memory: lambda: d(model, m, sizes.tokens), seconds)
    about = {"model": "TAAD+DST", "what": "events of a half", "precision": "no", "frames": sizes.half}
    decode = replace(plan.decode, stride=settings.windows.window // 2)
    yield attempt(about, lambda: lambda: decode_half(model, half, tactical, decode), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one run each; runs on a CPU too")
    parser.add_argument("--record", action="store_true", help="keep it as reports/metrics/gpu.json")
    options = parser.parse_args()
    sizes, seconds = (QUICK, 0.0) if options.quick else (FULL, _SECONDS)
    settings = PROFILES["full"].dst.network
    if options.quick:
        small = WindowSettings(window=160, max_tokens=sizes.tokens)
        settings = DSTSettings(windows=small, width=32, feedforward=64, encoder_layers=1, decoder_layers=1)
    rows, machine = [], {**hardware(), "versions": versions()}
    for row in chain(detectors(sizes, seconds), sequence_model(sizes, seconds, settings)):
        rows.append(row)
        if options.record:  # after every row: a machine may be lent for minutes only
            record = {"quick": options.quick, "sizes": asdict(sizes), "rows": rows, "machine": machine}
            write_json(costs.record_path(find_project() / "reports", costs.GPU), record)


if __name__ == "__main__":
    main()

"""The public part of FOOTPASS (annotations and official predictions, no video): find it, or download it pinned.

Source: the official repository of the FOOTPASS authors, licence CC BY-NC 4.0. The files are never part of this project.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tqdm import tqdm

from footpass_lib.events.playbyplay import Events, read_events
from footpass_lib.files import atomic_path, sha256_file
from footpass_lib.schema import FootpassError

REPOSITORY = "https://github.com/JeremieOchin/FOOTPASS"
COMMIT = "0da7385d5ca0e70d6fdd87d1ce94324d216d9bb6"
RAW_URL = f"https://raw.githubusercontent.com/JeremieOchin/FOOTPASS/{COMMIT}"
ENVIRONMENT_VARIABLE = "FOOTPASS_PUBLIC"
DEFAULT_ROOT = Path("data") / "footpass_public"
DST_DELAY = 1  # frames: the official exporter adds a window's first frame to an index that counts from 1

TRAIN_TRUTH = "playbyplay_GT/playbyplay_train.json"
VAL_TRUTH = "playbyplay_GT/playbyplay_val.json"
DST_PREDICTIONS = "playbyplay_PRED/playbyplay_DST_val.json"
TAAD_PREDICTIONS = "playbyplay_PRED/playbyplay_TAAD_val.json"
SHA256 = {
    TRAIN_TRUTH: "c37a6096b87fc74dad16b8dc0ed6a995570d9bdabe4de833804ee657a40d23eb",
    VAL_TRUTH: "938317e5115de622089bfe8cf36d94ce1c9bf95eb6876f10e5fecb6200242c4a",
    DST_PREDICTIONS: "34ef3f16233bd2e64cc5336e6f9a6e2c623d724c0517e09b91a99665f03c5741",
    TAAD_PREDICTIONS: "f50ed4aaa6d01289d71609032e310009cceae915a87bd2f3515674f71a5eb26d",
}


class PublicFilesMissing(FootpassError):
    """The public files are not here. A notebook that needs them stops with this; the study goes on without it."""

    def _render_traceback_(self) -> list[str]:  # IPython shows the message alone
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class PublicFiles:
    """The public files under one root, read on demand."""

    root: Path

    @cached_property
    def train_truth(self) -> Events:
        """Ground truth of the 48 training matches."""
        return read_events(self.root / TRAIN_TRUTH, "truth")

    @cached_property
    def val_truth(self) -> Events:
        """Ground truth of the validation matches that are present."""
        return read_events(self.root / VAL_TRUTH, "truth")

    @cached_property
    def dst(self) -> Events:
        """The official TAAD+DST predictions on validation, as published: every event is one frame late."""
        return read_events(self.root / DST_PREDICTIONS, "predictions")

    @cached_property
    def dst_corrected(self) -> Events:
        """:attr:`dst` with every event one frame earlier; what is built on the official file starts from this."""
        frame = (self.dst.table["frame"] - DST_DELAY).clip(lower=0)
        return self.dst.with_table(self.dst.table.assign(frame=frame))

    @cached_property
    def taad(self) -> Events:
        """The official TAAD predictions on validation, which are not late."""
        return read_events(self.root / TAAD_PREDICTIONS, "predictions")

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of the files as they lie here."""
        return {name: sha256_file(self.root / name) for name in SHA256}

    def describe(self) -> str:
        """Which matches are here, and whether the files are the whole official ones."""
        whole = all(digest == SHA256[name] for name, digest in self.hashes.items())
        games = ", ".join(map(str, self.val_truth.games))
        text = f"train: {len(self.train_truth.games)} matches; validation: games {games}"
        return f"{text} ({'the official files' if whole else 'a part of the official files'})"


def find(root: Path | str | None = None, project: Path | str = ".") -> PublicFiles:
    """Find the public files: in ``root``, else where ``FOOTPASS_PUBLIC`` points, else in ``project``'s ``data/``.

    PublicFilesMissing if files are missing; the message says which, and how to get them.
    """
    place = Path(root or os.environ.get(ENVIRONMENT_VARIABLE) or Path(project) / DEFAULT_ROOT)
    absent = [name for name in SHA256 if not (place / name).is_file()]
    if absent:
        raise PublicFilesMissing(
            f"the public FOOTPASS files are not in {place} (missing: {', '.join(absent)}). Get them with "
            f"'python -m footpass_lib public', or copy the folders playbyplay_GT and playbyplay_PRED of {REPOSITORY} "
            f"(commit {COMMIT[:7]}) there, or name their folder with --public-root or {ENVIRONMENT_VARIABLE}"
        )
    return PublicFiles(place)


def download(root: Path | str = DEFAULT_ROOT, *, base_url: str = RAW_URL, timeout: float = 30.0) -> PublicFiles:
    """Download what is missing of the public files, at the pinned commit, and check every file's SHA-256.

    A file that is already there with the right sum is kept; one with another sum is replaced. Nothing is written under
    its final name before its sum is right. ``base_url`` serves the official repository's files; a transfer is given up
    after ``timeout`` seconds without an answer. PublicFilesMissing if the network cannot be reached, the server
    refuses, or a file is not the pinned one.
    """
    root = Path(root)
    for name, digest in SHA256.items():
        target = root / name
        if target.is_file() and sha256_file(target) == digest:
            continue
        with atomic_path(target) as part:
            found = _fetch(f"{base_url}/{name}", part, timeout)
            if found != digest:
                raise PublicFilesMissing(f"{base_url}/{name}: SHA-256 is {found}, expected {digest}; nothing was kept")
    return PublicFiles(root)


def _fetch(url: str, part: Path, timeout: float) -> str:
    """Stream a file to ``part`` and return its SHA-256."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer, part.open("wb") as stream:
            size = int(answer.headers.get("Content-Length", 0)) or None
            bar = tqdm(total=size, unit="B", unit_scale=True, desc=Path(url).name, disable=None, leave=False)
            while block := answer.read(1 << 16):
                digest.update(block)
                stream.write(block)
                bar.update(len(block))
            bar.close()
    except urllib.error.HTTPError as error:
        raise PublicFilesMissing(f"{url}: the server answered {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        message = f"{url}: cannot be reached ({reason}). Offline? Copy the files by hand from {REPOSITORY}"
        raise PublicFilesMissing(message) from error
    return digest.hexdigest()

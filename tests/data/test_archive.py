"""Unpacking archives: AES and none, layouts, damage, and what must not be written."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import pyzipper

from footpass_lib.__main__ import main
from footpass_lib.data.archive import unpack
from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.tactical import write_tactical
from footpass_lib.schema import FootpassError

VIDEO = np.random.default_rng(0).integers(0, 256, 200_000, np.uint8).tobytes()


def encrypted(path: Path, password: bytes = b"secret", **files: bytes) -> Path:
    with pyzipper.AESZipFile(path, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(password)
        for name, content in files.items():
            archive.writestr(name.replace("__", "/") + ".mp4", content)
    return path


def no_password() -> str:
    raise AssertionError("nobody should be asked")


def test_the_command_makes_a_data_root_of_the_official_archives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    rows = np.array([[f, 107, 0, 7, 3, 0.2, 0.5, 0, 0, 100, 100, 40, 90, 0] for f in range(50)], np.float32)
    write_tactical(tmp_path / "val_tactical_data.h5", {"game_18_H1": rows})
    tables, out = tmp_path / "tactical_data_VAL.zip", tmp_path / "root"
    with zipfile.ZipFile(tables, "w") as plain:
        plain.write(tmp_path / "val_tactical_data.h5", "val_tactical_data.h5")
        plain.writestr("__MACOSX/._val_tactical_data.h5", b"clutter")
    videos = encrypted(tmp_path / "videos_352x640_VAL.zip", videos_352x640_VAL__game_18=VIDEO)
    monkeypatch.setenv("FOOTPASS_PASSWORD", "secret")
    for count in ("1 files written, 0 were there", "0 files written, 1 were there"):
        assert main(["unpack", str(tables), str(videos), "--out", str(out)]) == 0
        assert capsys.readouterr().out.count(count) == 2
    root = DataRoot(out)
    assert root.half("game_18_H1").n_frames == 50 and root.video(18).read_bytes() == VIDEO
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "tactical_data_VAL/val_tactical_data.h5", "videos_352x640_VAL/game_18.mp4",
    ]  # fmt: skip


def test_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    archive, out, file = encrypted(tmp_path / "videos.zip", game_1=VIDEO), tmp_path / "root", tmp_path / "password.txt"
    monkeypatch.delenv("FOOTPASS_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    line = ["unpack", str(archive), "--out", str(out)]
    assert main(line) == 1
    assert "expected --password-file or the variable FOOTPASS_PASSWORD" in capsys.readouterr().err
    file.write_text("wrong\n")
    assert main([*line, "--password-file", str(file)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {archive}: game_1.mp4: bad password") and error.count("\n") == 1
    assert not [path for path in out.rglob("*") if path.is_file()]
    file.write_text("secret\nand more\n")
    assert main([*line, "--password-file", str(file)]) == 0
    assert (out / "videos" / "game_1.mp4").read_bytes() == VIDEO


def test_an_unpacking_goes_on_where_it_was_stopped(tmp_path: Path):
    archive = encrypted(tmp_path / "videos.zip", game_1=VIDEO, game_2=VIDEO[::-1])
    (tmp_path / "root" / "videos").mkdir(parents=True)
    (tmp_path / "root" / "videos" / "game_1.mp4").write_bytes(VIDEO)
    (tmp_path / "root" / "videos" / "game_2.mp4").write_bytes(VIDEO[:1000])  # by another program
    done = unpack(archive, tmp_path / "root", lambda: "secret")
    assert [path.name for path in done.written] == ["game_2.mp4"] and [path.name for path in done.there] == [
        "game_1.mp4"
    ]
    assert (tmp_path / "root" / "videos" / "game_2.mp4").read_bytes() == VIDEO[::-1]


@pytest.mark.parametrize("name", ["../outside.h5", "a/../../outside.h5", "/outside.h5", "..\\outside.h5", "C:\\x\\y"])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, name: str):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(FootpassError, match=r"evil\.zip: .* would lie outside the folder"):
        unpack(tmp_path / "evil.zip", tmp_path / "root", no_password)
    assert [path.name for path in tmp_path.iterdir()] == ["evil.zip"]


def test_damaged_archives_are_one_error(tmp_path: Path):
    content = encrypted(tmp_path / "videos.zip", game_1=VIDEO).read_bytes()
    rng, kinds = np.random.default_rng(1), set()
    for i in range(60):
        path, changed = tmp_path / "broken.zip", bytearray(content if i % 3 else content[: rng.integers(len(content))])
        for place in rng.integers(0, len(changed), 3) if len(changed) else ():
            changed[place if i % 2 else -1 - place % min(120, len(changed))] ^= 255
        path.write_bytes(changed)
        try:
            unpack(path, tmp_path / f"root{i}", lambda: "secret")
            kinds.add("read")
        except FootpassError as error:
            assert str(path) in str(error)
            kinds.add("refused")
        assert not [p for p in (tmp_path / f"root{i}").rglob("*.mp4") if p.read_bytes() != VIDEO]
    assert "refused" in kinds
    for missing in (tmp_path / "none.zip", tmp_path):
        with pytest.raises(FootpassError, match="there is no such file; expected a zip archive"):
            unpack(missing, tmp_path, no_password)

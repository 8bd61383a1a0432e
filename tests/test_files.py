from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace

import pytest

from footpass_lib.files import file_key, key_of, off, settings_that_count


@dataclass(frozen=True)
class Inner:
    rates: dict[str, float] = field(default_factory=lambda: {"a": 1.0, "b": 2.0})


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    size: tuple[int, int] = (2, 3)


@dataclass(frozen=True)
class OtherOuter(Outer):
    pass


def test_a_key_repeats_and_changes_with_every_part_field_and_class():
    first = key_of(Outer(), 1, ["x"], None)
    assert first == key_of(Outer(Inner({"b": 2.0, "a": 1.0})), 1, ["x"], None)
    others = [
        key_of(replace(Outer(), size=(3, 2)), 1, ["x"], None),
        key_of(Outer(Inner({"a": 1.0, "b": 2.5})), 1, ["x"], None),
        key_of(OtherOuter(), 1, ["x"], None),
        key_of(Outer(), 2, ["x"], None),
        key_of(Outer(), 1, ["y"], None),
        key_of(Outer(), 1, ["x"]),
    ]
    assert len({first, *others}) == 1 + len(others)
    with pytest.raises(TypeError):
        key_of(object())  # whose text would be another in every process


def test_a_setting_that_is_off_is_no_part_of_a_key():
    later = dataclass(frozen=True)(
        type("Inner", (Inner,), {"__annotations__": {"variant": str}, "variant": off("none")})
    )
    assert key_of(Outer(later())) == key_of(Outer(Inner())) != key_of(Outer(later(variant="more")))
    assert settings_that_count(later()) == {"rates": {"a": 1.0, "b": 2.0}}
    assert settings_that_count(later(variant="more"))["variant"] == "more"


@pytest.mark.parametrize("size", [10, 2**20 + 5, 3 * 2**20])
def test_the_key_of_a_file_changes_with_its_size_its_beginning_and_its_end(tmp_path, size):
    path = tmp_path / "large"
    keys = set()
    for place in (None, 0, size - 1):
        content = bytearray(size)
        if place is not None:
            content[place] = 1
        path.write_bytes(content)
        keys.add(file_key(path))
    path.write_bytes(bytes(size + 1))
    assert len(keys | {file_key(path)}) == 4


def test_importing_the_library_settles_threads_before_torch_is_there():
    code = "import sys, os, footpass_lib; assert 'torch' not in sys.modules; print(os.environ['OMP_WAIT_POLICY'])"
    fresh = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    found = subprocess.run([sys.executable, "-c", code], env=fresh, capture_output=True, text=True, check=True)
    assert found.stdout == "PASSIVE\n"

import os
import re
import subprocess
import sys
import tomllib

from footpass_lib import environment

ENVIRONMENT = environment.__file__


def names(requirements):
    return {re.split(r"[\[<>=!~; ]", text, maxsplit=1)[0].lower().replace("_", "-") for text in requirements}


def test_every_pinned_library_is_declared_once_and_the_other_way_round(project):
    pins = environment.read_pins(project / "environment.yml")
    settings = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    declared = [settings["dependencies"], *settings["optional-dependencies"].values()]
    assert names(pins) == set().union(*map(names, declared))
    assert sum(map(len, declared)) == len(pins) > 20
    everything = [text for group in declared for text in group]
    assert not [text for text in everything if re.search(r"[=<>~]", text)], "versions belong in environment.yml"


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    assert 1 <= environment.cores() <= os.cpu_count()
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 6}, raising=False)
    assert environment.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert environment.cores() == 1


def test_python_versions_agree(project):
    settings = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    minimum = ".".join(map(str, environment.MINIMUM_PYTHON))
    assert settings["requires-python"] == f">={minimum}"
    assert f"- python={minimum}\n" in (project / "environment.yml").read_text()


def test_pins_are_read_from_the_pip_section_only(tmp_path):
    file = tmp_path / "environment.yml"
    text = (
        "dependencies:\n  - python==3.11\n  - pip:\n      - a-b_c==1.2.3  # why\n      # - no==1\n      - d==4.0rc1\n"
    )
    file.write_text(text)
    assert environment.read_pins(file) == {"a-b_c": "1.2.3", "d": "4.0rc1"}


def test_unmet_pins_are_named():
    found = environment.unmet({"numpy": "0.0.1", "no-such-library": "1"})
    assert len(found) == 2 and found[0].startswith("numpy==0.0.1 (found ") and found[1].endswith("(found none)")


def test_runs_as_a_plain_script_without_any_library(tmp_path):
    file = tmp_path / "environment.yml"
    file.write_text("dependencies:\n  - pip:\n      - no-such-library==1.0\n")
    run = [sys.executable, "-I", "-S", ENVIRONMENT]
    listed = subprocess.run([*run, "requirements", file], capture_output=True, text=True, check=True)
    assert listed.stdout == "no-such-library==1.0\n"
    checked = subprocess.run([*run, "check", file], capture_output=True, text=True)
    assert checked.returncode == 1 and checked.stdout == "no-such-library==1.0 (found none)\n"

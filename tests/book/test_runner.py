"""The runner on a small project of its own: three tiny notebooks that write records."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import nbformat
import pytest
from conftest import PROJECT

from footpass_lib.book import current, notebooks, runner
from footpass_lib.files import atomic_path
from footpass_lib.schema import FootpassError
from footpass_lib.study.place import FROM_SCRATCH, WEIGHTS, open_study
from footpass_lib.study.profiles import PROFILES

RUN_ALL = PROJECT / "run_all.sh"
SETUP = """
from pathlib import Path
from footpass_lib.study import results
from footpass_lib.study.place import open_study
study = open_study(profile, data_root, public_root, seed)
log = study.project / "log.txt"
"""
FIRST = (
    SETUP
    + """
log.open("a").write("first ")
results.record(study, "01_first", "value", {"value": VALUE}, split="none", synthetic=True);
"""
)
SECOND = (
    SETUP
    + """
log.open("a").write("second ")
upstream = results.read_records(study, "01_first")["01_first.value"]["metrics"]["value"]
results.record(study, "02_second", "double", {"value": 2 * upstream}, split="none", synthetic=True);
results.record_finding(study, "02_second", f"twice as much: {2 * upstream}");
"""
)


def write(folder, name, code, **about):
    cells = [
        nbformat.v4.new_markdown_cell(f"# {name}"),
        nbformat.v4.new_code_cell(
            'profile = ""\ndata_root = ""\npublic_root = ""\nseed = 0', metadata={"tags": ["parameters"]}
        ),
        nbformat.v4.new_code_cell(code),
    ]
    content = nbformat.v4.new_notebook(cells=cells)
    content.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content.metadata["footpass"] = {"title": name.title(), "question": "why?", **about}
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, folder / f"{name}.ipynb")


@pytest.fixture()
def small(tmp_path, clean_environment):
    """A project in a folder with a space and an accent."""
    root = tmp_path / "a small projét"
    write(root / "notebooks", "01_first", FIRST.replace("VALUE", "21"))
    write(root / "notebooks", "02_second", SECOND, reads=["01_first"])
    (root / "environment.yml").write_text("")
    clean_environment.chdir(root)
    clean_environment.setenv("FOOTPASS_PUBLIC", str(tmp_path / "nowhere"))
    clean_environment.setenv("FOOTPASS_PROFILE", "smoke")
    return root


def ran(root):
    text = (root / "log.txt").read_text() if (root / "log.txt").exists() else ""
    (root / "log.txt").unlink(missing_ok=True)
    return text.split()


@pytest.mark.slow
def test_runs_skips_and_reruns_what_a_change_touches(small, capsys):
    assert runner.main([]) == 0
    assert ran(small) == ["first", "second"]
    text = capsys.readouterr().out
    assert "[1/2] 01_first: 01_First (0:00 elapsed)" in text and "[2/2] 02_second" in text and "index.html" in text
    runs = small / "reports" / "runs" / "smoke"
    assert {p.name for p in runs.iterdir() if p.suffix != ".lock" and p.name != ".lock"} == {
        f"{name}.{kind}" for name in ("01_first", "02_second") for kind in ("ipynb", "html", "json")
    }
    record = small / "reports" / "metrics" / "smoke" / "02_second.double.json"
    assert '"value": 42' in record.read_text()
    executed = (runs / "01_first.ipynb").read_text()
    assert str(small) not in executed and "papermill" not in executed

    assert runner.main([]) == 0 and ran(small) == []
    assert capsys.readouterr().out.count("up to date") == 2
    assert runner.main(["--fresh", "--only", "02"]) == 0 and ran(small) == ["second"]

    # Another text of the first, but the same record: the second stays. Another record: the second follows.
    write(small / "notebooks", "01_first", FIRST.replace("VALUE", "20 + 1"))
    assert runner.main([]) == 0 and ran(small) == ["first"]
    write(small / "notebooks", "01_first", FIRST.replace("VALUE", "5"))
    assert runner.main([]) == 0 and ran(small) == ["first", "second"]
    record.unlink()
    assert runner.main(["--from", "02"]) == 0 and ran(small) == ["second"]
    assert '"value": 10' in record.read_text()

    # What a notebook found stands in the contents; without the line it is run again.
    assert "twice as much: 10" in (small / "reports" / "index.html").read_text()
    record.with_name("02_second.finding.txt").unlink()
    assert runner.main([]) == 0 and ran(small) == ["second"]


@pytest.mark.slow
def test_a_failure_is_two_lines_and_what_finished_stays(small, capsys):
    write(small / "notebooks", "02_second", SETUP + "raise ValueError('no such luck\\nmore')")
    write(small / "notebooks", "03_third", SETUP + "log.open('a').write('third ')")
    assert runner.main([]) == 1
    caught = capsys.readouterr()
    assert caught.err.splitlines()[-2:] == ["02_second failed in cell 2 (In [2])", "  ValueError: no such luck"]
    assert ran(small) == ["first"], "the run stops at the failing notebook"
    runs = small / "reports" / "runs" / "smoke"
    assert (runs / "01_first.html").is_file() and (runs / "02_second.failed.ipynb").is_file()
    assert not (runs / "02_second.ipynb").exists()
    write(small / "notebooks", "02_second", SECOND, reads=["01_first"])
    assert runner.main([]) == 0 and ran(small) == ["second", "third"]
    assert not (runs / "02_second.failed.ipynb").exists()


@pytest.mark.slow
def test_missing_public_files_skip_a_notebook_and_the_run_goes_on(small, capsys):
    needs = SETUP + "from footpass_lib.events import public\npublic.find(study.public_root, study.project)"
    write(small / "notebooks", "01_first", needs, needs_public=True)
    write(small / "notebooks", "02_second", SETUP + "log.open('a').write('second ')")
    assert runner.main([]) == 0 and ran(small) == ["second"]
    assert "skipped: the public FOOTPASS files are not in" in capsys.readouterr().out
    assert not list((small / "reports" / "runs" / "smoke").glob("01_first*"))
    runner.main(["--list-testable"])
    assert [line.rsplit("/", 1)[1] for line in capsys.readouterr().out.splitlines()] == ["02_second.ipynb"]


@pytest.mark.slow
def test_kill_leaves_nothing_half_written_and_the_next_run_goes_on(small):
    slow = (
        SETUP
        + """
import time
(study.project / "started").touch()
time.sleep(0 if (study.project / "go").exists() else 60)
"""
    )
    write(small / "notebooks", "02_second", slow + SECOND, reads=["01_first"])
    process = subprocess.Popen([sys.executable, "-m", "footpass_lib.book.runner"], cwd=small)
    deadline = time.monotonic() + 120
    while not (small / "started").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    runs = small / "reports" / "runs" / "smoke"
    assert (runs / "01_first.html").is_file() and not (runs / "02_second.ipynb").exists()
    (small / "go").touch()
    assert ran(small) == ["first"]
    assert runner.main([]) == 0 and ran(small) == ["second"]
    assert not list(runs.glob(".*.part*"))


def test_what_killed_runs_left_is_removed_but_not_what_others_write(small):
    study = open_study()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, going = study.models / "taad-seed0" / f".preds_val.h5.{gone.pid}.abc.part", study.models / "dst" / "a.json"
    for part in (left, study.models / "taad-seed0" / "best.3.part", study.figures / ".01_map.png.a.part"):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    with atomic_path(going) as part:
        runner._clear_left(study)
        assert sorted(p.name for p in study.models.rglob("*.part")) == sorted([part.name, "best.3.part"])
    assert going.is_file() and not list(study.figures.iterdir())


def test_only_one_run_at_a_time(small, capsys):
    with runner._only_run(current.runs_folder(open_study())):
        assert runner.main([]) == 1
    assert "another run of this profile is going on" in capsys.readouterr().err


def test_choosing_notebooks(small):
    listed = notebooks.list_notebooks(small / "notebooks")
    names = lambda chosen: [n.name for n in chosen]  # noqa: E731
    assert names(notebooks.choose(listed)) == ["01_first", "02_second"]
    assert names(notebooks.choose(listed, only="02,01")) == ["01_first", "02_second"]
    assert names(notebooks.choose(listed, start="02_second")) == ["02_second"]
    with pytest.raises(FootpassError, match="no notebook '07'; there are 01_first, 02_second"):
        notebooks.choose(listed, only="01,07")


def test_unreadable_notebooks_are_named(small):
    (small / "notebooks" / "03_bad.ipynb").write_text("{")
    with pytest.raises(FootpassError, match=r"03_bad\.ipynb: no notebook of this study"):
        notebooks.list_notebooks(small / "notebooks")
    shutil.rmtree(small / "notebooks")
    with pytest.raises(FootpassError, match="no notebooks found"):
        notebooks.list_notebooks(small / "notebooks")


def test_from_scratch_is_for_the_whole_run(small, clean_environment, monkeypatch, capsys):
    clean_environment.setenv(FROM_SCRATCH, "")  # so that it is gone after the test
    started = replace(PROFILES["smoke"], pretrained=True)
    monkeypatch.setitem(PROFILES, "smoke", started)
    opened = []
    monkeypatch.setattr(runner, "run_all", lambda study, *_: opened.append(study))
    assert runner.main([]) == 0 and os.environ[FROM_SCRATCH] == ""
    assert runner.main(["--from-scratch"]) == 0 and os.environ[FROM_SCRATCH] == "1"
    assert [study.pretrained for study in opened] == [WEIGHTS, None]
    assert "--from-scratch" in subprocess.run([RUN_ALL, "--help"], capture_output=True, text=True, check=True).stdout


def test_fingerprint_follows_weights(small, tmp_path):
    second = notebooks.list_notebooks(small / "notebooks")[1]
    study = replace(open_study(), pretrained=None)
    given = replace(study, pretrained=tmp_path)
    base = current.fingerprint(second, study)
    assert current.fingerprint(second, given) == base  # there is no file yet
    (tmp_path / "dst.safetensors").write_bytes(b"one")
    one = current.fingerprint(second, given)
    (tmp_path / "dst.safetensors").write_bytes(b"two")
    assert len({base, one, current.fingerprint(second, given)}) == 3


def test_fingerprint_follows_text_parameters_library_and_upstream_records(small):
    study = open_study()
    second = notebooks.list_notebooks(small / "notebooks")[1]
    base = current.fingerprint(second, study)
    assert current.fingerprint(second, open_study()) == base
    assert current.fingerprint(second, open_study("embedded")) != base
    assert current.fingerprint(second, open_study(seed=1)) != base
    records = small / "reports" / "metrics" / "smoke"
    records.mkdir(parents=True)
    (records / "01_first.value.json").write_text('{"metrics": {"value": 1}, "run": {"seconds": 1}}')
    changed = current.fingerprint(second, study)
    assert changed != base
    (records / "01_first.value.json").write_text('{"metrics": {"value": 1}, "run": {"seconds": 2}}')
    assert current.fingerprint(second, study) == changed, "how long a run took changes nothing"


def test_library_modules_are_found_through_imports(tmp_path):
    library = tmp_path / "footpass_lib"
    (library / "models").mkdir(parents=True)
    (library / "__init__.py").write_text("")
    (library / "a.py").write_text("from footpass_lib.models import x3d\n")
    (library / "b.py").write_text("import numpy\n")
    (library / "models" / "__init__.py").write_text("")
    (library / "models" / "x3d.py").write_text("import footpass_lib.a\n")
    found = [
        p.relative_to(library).as_posix()
        for p in current.library_modules("from footpass_lib import a\nimport os", library)
    ]
    assert found == ["__init__.py", "a.py", "models/__init__.py", "models/x3d.py"]


@pytest.mark.slow
def test_publishing_takes_only_runs_of_the_present_text(small):
    assert runner.main(["--only", "01"]) == 0
    assert runner.main(["--publish", "--only", "01"]) == 0
    published = nbformat.read(small / "notebooks" / "01_first.ipynb", as_version=4)
    assert [c.execution_count for c in published.cells if c.cell_type == "code"] == [1, 2]
    assert runner.main(["--publish", "--only", "02"]) == 1
    assert runner.main([]) == 0 and ran(small) == ["first", "second"], "publishing does not make a notebook run again"


def test_a_notebook_comes_after_those_it_reads_and_else_by_number(tmp_path):
    reads = {"01_a": [], "02_b": ["04_d"], "03_c": ["09_not_chosen"], "04_d": ["01_a"], "05_e": ["05_e"]}
    for name, upstream in reads.items():
        write(tmp_path, name, "", reads=upstream)
    ordered = notebooks.in_order(notebooks.list_notebooks(tmp_path))
    assert [notebook.name for notebook in ordered] == ["01_a", "03_c", "04_d", "02_b", "05_e"]

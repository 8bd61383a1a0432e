import hashlib
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from footpass_lib.events import public
from footpass_lib.events.metrics import evaluate, match_events
from footpass_lib.events.public import PublicFilesMissing, download, find
from footpass_lib.study import paper

EMPTY = '{"keys": [], "events": {}}'


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture()
def served(tmp_path, monkeypatch):
    """A small official repository on this machine, its sums pinned in place of the real ones."""
    source = tmp_path / "served"
    sums = {}
    for i, name in enumerate(public.SHA256):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(EMPTY + " " * i)
        sums[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(public, "SHA256", sums)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(source)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield source, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def make_root(folder):
    for name in public.SHA256:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(EMPTY)
    return folder


def test_found_by_argument_then_variable_then_usual_place(tmp_path, clean_environment):
    project = tmp_path / "project"
    usual = make_root(project / "data" / "footpass_public")
    assert find(project=project).root == usual
    variable = make_root(tmp_path / "variable")
    clean_environment.setenv("FOOTPASS_PUBLIC", str(variable))
    assert find(project=project).root == variable
    argument = make_root(tmp_path / "argument")
    assert find(argument, project).root == argument


def test_what_is_missing_is_named_with_the_ways_to_get_it(tmp_path, clean_environment):
    root = make_root(tmp_path / "root")
    (root / public.DST_PREDICTIONS).unlink()
    with pytest.raises(
        PublicFilesMissing, match=r"missing: playbyplay_PRED/playbyplay_DST_val.json\).*footpass_lib public"
    ):
        find(root)
    # A place that the user names is not replaced by another one silently.
    make_root(tmp_path / "data" / "footpass_public")
    with pytest.raises(PublicFilesMissing):
        find(tmp_path / "elsewhere", tmp_path)


def test_a_notebook_shows_the_message_alone():
    assert PublicFilesMissing("copy them")._render_traceback_() == ["PublicFilesMissing: copy them"]


def test_download_checks_and_keeps(served, tmp_path):
    source, url = served
    root = tmp_path / "here"
    files = download(root, base_url=url)
    assert files.hashes == public.SHA256 and files.val_truth.halves == ()
    for path in source.rglob("*.json"):  # nothing is fetched again: the server has nothing left
        path.unlink()
    assert download(root, base_url=url).hashes == public.SHA256


def test_a_wrong_file_is_refused_and_replaced(served, tmp_path):
    source, url = served
    root = tmp_path / "here"
    target = root / public.TRAIN_TRUTH
    target.parent.mkdir(parents=True)
    target.write_text("half a file")
    (source / public.TRAIN_TRUTH).write_text("tampered")
    with pytest.raises(PublicFilesMissing, match="SHA-256 is .* expected .*nothing was kept"):
        download(root, base_url=url)
    assert target.read_text() == "half a file" and not list(root.rglob("*.part"))
    (source / public.TRAIN_TRUTH).write_text(EMPTY)
    assert download(root, base_url=url).hashes == public.SHA256


def test_refused_and_unreachable_servers(served, tmp_path):
    _, url = served
    with pytest.raises(PublicFilesMissing, match="answered 404"):
        download(tmp_path / "here", base_url=f"{url}/nowhere")
    with pytest.raises(PublicFilesMissing, match="cannot be reached.*Offline"):
        download(tmp_path / "here", base_url="http://127.0.0.1:9", timeout=5)
    assert not list((tmp_path / "here").rglob("*.json"))


def test_the_pins_are_a_commit_and_four_sums():
    assert len(public.COMMIT) == 40 and public.COMMIT in public.RAW_URL
    assert len(public.SHA256) == 4 and all(len(digest) == 64 for digest in public.SHA256.values())


def test_the_corrected_file_is_the_published_one_a_frame_earlier(tmp_path):
    root = make_root(tmp_path / "root")
    events = [[1, 0, 7, 2, 0.5], [0, 1, 4, 1, 0.9], [751, 1, 4, 1, 0.2]]
    (root / public.DST_PREDICTIONS).write_text(json.dumps({"keys": ["game_1_H1"], "events": {"game_1_H1": events}}))
    files = find(root)
    assert files.dst_corrected.table["frame"].tolist() == [0, 0, 750] and files.dst_corrected.halves == ("game_1_H1",)
    assert files.dst_corrected.table.drop(columns="frame").equals(files.dst.table.drop(columns="frame"))
    assert files.dst.table["frame"].tolist() == [1, 0, 751]


def test_the_official_file_is_late_by_a_frame_and_scores_more_without(public_files):
    """The delay shows in the errors of what is found: in every match DST is later than TAAD by about a frame."""
    truth = public_files.val_truth
    systems = {"DST": public_files.dst, "corrected": public_files.dst_corrected, "TAAD": public_files.taad}
    matchings = {name: match_events(events, truth) for name, events in systems.items()}
    errors = {name: m.predictions.query("tp")["offset"].mean() for name, m in matchings.items()}
    assert errors["DST"] - errors["corrected"] == pytest.approx(0.9, abs=0.15)  # the latest of all are not found
    for half in truth.halves:
        late, taad = (matchings[name].per_half()[half].predictions.query("tp")["offset"] for name in ("DST", "TAAD"))
        assert 0.5 < late.mean() - taad.mean() < 2
    if truth.games == paper.OFFICIAL_GAMES:
        assert errors["DST"] == pytest.approx(1, abs=0.15) and errors["corrected"] == pytest.approx(0, abs=0.15)
        scores = {name: evaluate(systems[name], truth) for name in ("DST", "corrected")}
        found = {name: (round(s.macro_f1, 4), round(s.micro_f1, 4)) for name, s in scores.items()}
        assert found == {"DST": paper.OFFICIAL_F1["DST"], "corrected": (0.4976, 0.7216)}


def test_the_real_files(public_files):
    assert len(public_files.train_truth) == 91_327 and len(public_files.train_truth.games) == 48
    assert public_files.hashes[public.TRAIN_TRUTH] == public.SHA256[public.TRAIN_TRUTH]
    assert set(public_files.dst.games) == set(public_files.taad.games) == set(public_files.val_truth.games)
    assert "48 matches" in public_files.describe()

"""Numbers, locks, logs and leftovers of run folders, without any training."""

import json
from pathlib import Path

import pytest
import tensorflow as tf

from tests.trainers.helpers import metrics
from trainers import run_folder
from trainers.checkpoints import plain
from trainers.metrics_log import MetricsLog
from trainers.run_store import RunStore

CONFIG = {"kind": "run", "recipe": {"width": 4, "rates": [1, 2]}, "source": "a", "train": {"steps": 5, "batch": 2}}


def saved(folder, *steps, keep=9):
    """A run folder with a checkpoint of one variable, which holds the step, for each of `steps`."""
    folder.mkdir(exist_ok=True)
    store, step = RunStore(folder, keep), tf.Variable(0, dtype=tf.int64)
    store.open()
    store.write_config(CONFIG)
    for number in steps:
        step.assign(number)
        store.save_checkpoint(number, tf.train.Checkpoint(step=step).write)
    return store.checkpoints.root


def names(checkpoints):
    return sorted(path.name for path in checkpoints.glob("*.index"))


def test_runs_are_numbered(tmp_path):
    out = tmp_path / "a" / "runs"
    assert run_folder.runs(out) == []
    first, second = run_folder.new_run(out, "maml-glyphs"), run_folder.new_run(out, "x/y z")
    assert [first.name, second.name] == ["00000-maml-glyphs", "00001-x-y-z"]
    (out / "00041-mine").mkdir()
    (out / "notes").mkdir()
    assert run_folder.new_run(out, "b").name == "00042-b"
    assert run_folder.runs(out) == [first, second, out / "00041-mine", out / "00042-b"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"must be writable. Received: .*Not a directory"):
        run_folder.new_run(tmp_path / "file" / "runs", "a")


def test_latest_run_is_the_folder_itself_or_the_newest_in_it(tmp_path):
    run_folder.new_run(tmp_path, "a")
    newest = run_folder.new_run(tmp_path, "b")
    assert run_folder.latest_run(tmp_path) == newest and run_folder.latest_run(newest) == newest


@pytest.mark.parametrize("place", [".", "absent"])
def test_resuming_nothing_is_refused(tmp_path, place):
    with pytest.raises(
        ValueError, match=r"needs a folder with a run in it; leave out --resume to start one. Received: .*without one"
    ):
        run_folder.latest_run(tmp_path / place)


def test_a_lock_holds_until_it_is_let_go(tmp_path):
    with (
        RunStore(tmp_path).locked(),
        pytest.raises(ValueError, match=r"must not be written by two trainers at once. Received: a folder in use"),
        RunStore(tmp_path).locked(),
    ):
        pytest.fail("a second lock was given")
    with RunStore(tmp_path).locked():
        pass


def test_the_newest_checkpoint_is_found_by_number_without_the_index_of_the_manager(tmp_path):
    assert run_folder.latest_checkpoint(tmp_path) is None
    checkpoints = saved(tmp_path, 9, 10)
    (checkpoints / "checkpoint").unlink()
    (checkpoints / "ckpt-11.data-00000-of-00001").write_bytes(b"cut off before its index")
    assert run_folder.latest_checkpoint(tmp_path) == str(checkpoints / "ckpt-10")


@pytest.mark.parametrize("damage", ["lost", "garbage", "whole"])
def test_the_manager_deletes_the_oldest_even_without_its_index(tmp_path, damage):
    checkpoints = saved(tmp_path, 2, 4)
    if damage == "lost":
        (checkpoints / "checkpoint").unlink()
    elif damage == "garbage":
        (checkpoints / "checkpoint").write_text("model_checkpoint_path: ")
    saved(tmp_path, 6, keep=2)
    assert names(checkpoints) == ["ckpt-4.index", "ckpt-6.index"]
    assert tf.train.load_variable(str(checkpoints / "ckpt-4"), "step/.ATTRIBUTES/VARIABLE_VALUE") == 4


def test_a_moved_run_keeps_its_checkpoints(tmp_path):
    saved(tmp_path / "here", 2, 4)
    (tmp_path / "here").rename(tmp_path / "there")
    checkpoints = saved(tmp_path / "there", 6, keep=2)
    assert names(checkpoints) == ["ckpt-4.index", "ckpt-6.index"]


def test_leftovers_of_killed_saves_are_deleted(tmp_path):
    for leftover in (tmp_path / run_folder.CHECKPOINTS / "ckpt-7_temp", tmp_path / ".model.0123abcd.part"):
        leftover.mkdir(parents=True)
        (leftover / "part").write_bytes(b"half")
    checkpoints = saved(tmp_path)
    assert list(checkpoints.iterdir()) == [] and sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoints",
        "config.json",
    ]


def test_the_log_drops_lines_after_the_checkpoint(tmp_path):
    log = MetricsLog(tmp_path, -1)
    for step in (0, 1, 2, 3):
        log.write(step, {"loss": step / 2})
    MetricsLog(tmp_path, 2).write(3, {"loss": 7.0})
    assert [(line["step"], line["loss"]) for line in metrics(tmp_path)] == [(0, 0.0), (1, 0.5), (2, 1.0), (3, 7.0)]
    MetricsLog(tmp_path, -1)
    assert metrics(tmp_path) == []


@pytest.mark.parametrize("torn", ['{"step": 2, "lo', "\x00\x00\x00", "[1]", '{"loss": 1}', "3"])
def test_the_log_drops_a_torn_line(tmp_path, torn):
    MetricsLog(tmp_path, -1).write(1, {"loss": 1.0})
    with (tmp_path / run_folder.METRICS).open("a") as file:
        file.write(torn)
    MetricsLog(tmp_path, 5).write(2, {"loss": 2.0})
    assert [line["step"] for line in metrics(tmp_path)] == [1, 2]


def test_the_log_is_json_with_six_digits(tmp_path):
    values = {"small": 1.23456789e-8, "large": 123456789, "none": float("nan"), "inf": float("inf"), "zero": 0}
    MetricsLog(tmp_path, -1).write(3, values)
    (line,) = metrics(tmp_path)
    assert line == {"step": 3, "small": 1.23457e-8, "large": 123457000.0, "none": None, "inf": None, "zero": 0.0}


def test_the_same_settings_may_go_on(tmp_path):
    longer = {**CONFIG, "recipe": {"width": 4, "rates": (1, 2)}, "train": {"steps": 9, "batch": 2}}
    assert run_folder.check_same(CONFIG, longer, tmp_path, ("recipe", "source", "train.batch")) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": {"width": 8, "rates": [1, 2]}}, r"{'recipe.width': 4}. Received: {'recipe.width': 8}"),
        ({"recipe": {"width": 4, "rates": [1]}}, r"{'recipe.rates': \[1, 2\]}. Received: {'recipe.rates': \[1\]}"),
        ({"source": "b"}, r"{'source': 'a'}; --allow-changed data .*. Received: {'source': 'b'}"),
        ({"source": None}, r"{'source': 'a'}; --allow-changed data .*. Received: {'source': None}"),
        ({"train": {"steps": 5, "batch": 3}}, r"{'train.batch': 2}. Received: {'train.batch': 3}"),
    ],
)
def test_other_settings_are_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=f"resuming needs the settings of .*: {message}"):
        run_folder.check_same(CONFIG, {**CONFIG, **change}, tmp_path, ("recipe", "source", "train.batch"))


def test_the_config_is_read_by_people_and_programs(tmp_path):
    store = RunStore(tmp_path)
    store.open()
    store.write_config(CONFIG)
    text = (tmp_path / "config.json").read_text("utf-8")
    assert json.loads(text) == {**CONFIG, "run": store.run} and '\n  "recipe": {\n' in text


RECORDED = {
    "recipe": {"game": {"features": "conv4"}},
    "source": "a.npz",
    "data": {"name": "a.npz"},
    "start": "runs/a",
    "versions": {"tensorflow": "2.20"},
    "fingerprints": {"data": {"source": {"images": "aa"}}, "features": {"features": "bb"}, "start": "cc"},
}
CHANGED = {
    "data": {
        "source": "b.npz",
        "data": {"name": "b.npz"},
        "fingerprints": {**RECORDED["fingerprints"], "data": {"source": {"images": "ab"}}},
    },
    "features": {
        "recipe": {"game": {"features": "other"}},
        "fingerprints": {**RECORDED["fingerprints"], "features": {"features": "bc"}},
    },
    "start": {"start": "runs/b", "fingerprints": {**RECORDED["fingerprints"], "start": "cd"}},
    "versions": {"versions": {"tensorflow": "2.21"}},
}


@pytest.mark.parametrize("kind", CHANGED)
def test_a_change_from_outside_is_refused_and_can_be_allowed(tmp_path, kind):
    now = {**RECORDED, **CHANGED[kind]}
    with pytest.raises(ValueError, match=rf"; --allow-changed {kind} continues all the same. Received: "):
        run_folder.check_same(RECORDED, now, tmp_path)
    others = [other for other in run_folder.CHANGES if other != kind]
    with pytest.raises(ValueError, match=r"resuming needs the settings"):
        run_folder.check_same(RECORDED, now, tmp_path, allowed=others)
    assert run_folder.check_same(RECORDED, now, tmp_path, allowed=[kind])


def test_no_allowance_covers_another_recipe(tmp_path):
    now = {**RECORDED, "recipe": {"game": {"features": "conv4", "width": 8}}}
    with pytest.raises(ValueError, match=r"{'recipe.game.width': None}. Received: {'recipe.game.width': 8}"):
        run_folder.check_same(RECORDED, now, tmp_path, allowed=list(run_folder.CHANGES))


def test_a_run_of_an_earlier_version_is_compared_by_what_it_recorded(tmp_path):
    earlier = {name: value for name, value in RECORDED.items() if name != "fingerprints"}
    assert (
        run_folder.check_same(earlier, {**RECORDED, "versions": {"tensorflow": "2.20", "numpy": "2"}}, tmp_path) == {}
    )
    with pytest.raises(
        ValueError, match=r"{'start': 'runs/a'}.*--allow-changed start continues.* Received: {'start': 'runs/b'}"
    ):
        run_folder.check_same(earlier, {**RECORDED, "start": "runs/b"}, tmp_path)


@pytest.mark.parametrize("name", ["runs[1]", "a*b", "what?", "back\\slash", "[a-z]", "with space"])
def test_wildcards_in_a_name_are_characters(tmp_path, name):
    """TensorFlow takes them for patterns: it would neither find its own files, nor leave those of others alone."""
    other = saved(tmp_path / {"a*b": "acb", "what?": "what1", "[a-z]": "m"}.get(name, "runs1"), 1, 2)
    before = {path.name: path.read_bytes() for path in other.iterdir()}
    checkpoints = saved(tmp_path / name, 1, 2, 3, keep=2)
    assert names(checkpoints) == ["ckpt-2.index", "ckpt-3.index"]
    assert {path.name: path.read_bytes() for path in other.iterdir()} == before
    assert RunStore(tmp_path / name).open() == str(checkpoints / "ckpt-3")
    (checkpoints / "ckpt-3.json").unlink()  # read by TensorFlow, not by its sha256
    assert RunStore(tmp_path / name).open() == str(checkpoints / "ckpt-3")
    with plain(checkpoints / "ckpt-3") as prefix:
        step = tf.Variable(0, dtype=tf.int64)
        tf.train.Checkpoint(step=step).restore(prefix).expect_partial()
    assert int(step.numpy()) == 3


def test_a_relative_folder_is_not_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(1, 5):
        (tmp_path / f"ckpt-{number}.index").write_text("mine")
    for steps in ((1, 2), (3,), (4,)):
        saved(Path("runs"), *steps, keep=2)
    assert names(tmp_path / "runs" / "checkpoints") == ["ckpt-3.index", "ckpt-4.index"]
    assert sorted(path.name for path in tmp_path.glob("ckpt-*")) == [f"ckpt-{number}.index" for number in range(1, 5)]
    assert tf.train.latest_checkpoint("runs/checkpoints") == "runs/checkpoints/ckpt-4"

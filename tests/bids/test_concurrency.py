"""Several runs writing to one output folder at the same moment, as the tasks of a cluster do."""

import csv
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fusionprep.bids.dataset import prepare_output, write_participants
from fusionprep.config import Config
from fusionprep.files import taking_turns
from fusionprep.models.registry import get_model
from tests.bids.skeleton import layout_of, make_config, write_dataset

MODELS = ("densefuse", "ifcnn", "average", "max", "pca", "wavelet")
LABELS = ("01", "02", "03", "04", "05", "06")
ROUNDS = 12


def _at_once(task: Callable[..., Any], barrier: Any, results: Any, *arguments: Any) -> None:
    found = []
    for number in range(ROUNDS):
        barrier.wait(60)
        found.append(task(number, *arguments))
    results.put(found)


def at_once(task: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> list[list[Any]]:
    """Call a function in processes that begin each round together; each one's results by round."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(len(arguments)), context.Queue()
    workers = [
        context.Process(target=_at_once, args=(task, barrier, results, *own)) for own in arguments
    ]
    for worker in workers:
        worker.start()
    try:
        found = [results.get(timeout=60) for _ in workers]
    finally:
        for worker in workers:
            worker.join(10)
            worker.kill()
    assert [worker.exitcode for worker in workers] == [0] * len(workers)
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def config_of(raw: Path, number: int, model: str = "average") -> Config:
    out = raw.parent / f"out{number}"
    return Config.from_options(
        bids_dir=raw, output_dir=out, work_dir=raw.parent / "work", models=(model,)
    )


def prepare(number: int, raw: Path, model: str) -> dict[str, object]:
    config = config_of(raw, number, model)
    prepare_output(config)
    # what another run finds that begins in the same moment
    return json.loads((config.output_dir / "dataset_description.json").read_text("utf-8"))


def add_participant(number: int, raw: Path, label: str) -> None:
    config = config_of(raw, number)
    image = config.output_dir / f"sub-{label}" / "pet" / f"sub-{label}_desc-preproc_pet.nii.gz"
    image.parent.mkdir(parents=True)
    image.touch()
    write_participants(config)


def open_index(number: int, raw: Path) -> tuple[list[str], int]:
    kept = raw.parent / f"index{number}"
    subjects = layout_of(make_config(raw, bids_database_dir=kept)).get_subjects()
    return subjects, (kept / "layout_index.sqlite").stat().st_ino


@pytest.fixture
def raw(tmp_path) -> Path:
    return write_dataset(tmp_path / "raw", *(f"sub-{x}/anat/sub-{x}_T1w.nii.gz" for x in LABELS))


def test_each_run_finds_its_labels_described(raw):
    described = at_once(prepare, [(raw, model) for model in MODELS])
    wanted = {f"desc-fused{get_model(model).label}" for model in MODELS}
    for number in range(ROUNDS):
        out = raw.parent / f"out{number}"
        found = [row["desc_id"] for row in rows(out / "descriptions.tsv")]
        assert wanted <= set(found)
        assert found == sorted(set(found))
        assert all(own[number] == described[0][0] for own in described)
        assert {path.name for path in out.iterdir()} == {
            ".bidsignore", "README.md", "dataset_description.json", "descriptions.tsv",
            "descriptions.json",
        }  # fmt: skip


def test_each_run_finds_its_participant_listed(raw):
    at_once(add_participant, [(raw, label) for label in LABELS])
    for number in range(ROUNDS):
        out = raw.parent / f"out{number}"
        listed = [row["participant_id"] for row in rows(out / "participants.tsv")]
        assert listed == [f"sub-{label}" for label in LABELS]
        assert json.loads((out / "participants.json").read_text("utf-8"))["Description"]
        assert not list(out.glob(".*"))


def test_an_index_is_not_taken_from_those_who_read_it(raw):
    found = at_once(open_index, [(raw,)] * 4)
    for number in range(ROUNDS):
        of_round = [own[number] for own in found]
        assert of_round == [(list(LABELS), of_round[0][1])] * 4
        kept = [path.name for path in (raw.parent / f"index{number}").iterdir()]
        assert kept == ["layout_index.sqlite"]


def test_what_is_the_same_is_not_written_anew(raw):
    config = config_of(raw, 0)
    prepare_output(config)
    before = {path: path.stat().st_ino for path in config.output_dir.iterdir()}
    prepare_output(config)
    assert {path: path.stat().st_ino for path in config.output_dir.iterdir()} == before


def test_the_lock_of_a_killed_run_holds_nobody_up(tmp_path):
    lock = tmp_path / ".writing-table.tsv.lock"
    lock.write_text("of a run that was killed")
    with taking_turns(tmp_path / "table.tsv", patience=0.2):
        assert lock.read_text() != "of a run that was killed"
    assert not lock.exists()


def test_a_lock_is_given_back_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), taking_turns(tmp_path / "table.tsv"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []

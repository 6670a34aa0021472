"""Tables that are not tables, are too wide, too long or ragged."""

import gzip
import re
from collections.abc import Mapping

import pytest

from fusionprep.bids.dataset import unreadable_tables, write_participants
from fusionprep.reading import read_table
from tests.bids.skeleton import make_config, write_image
from tests.faults.attacks import Attack, Scene, attempt, in_table, stands
from tests.faults.cohort import Damage, Subject, dry_run, ends, label_of

LONG = "x" * 200_000
TABLES: dict[str, bytes] = {
    "long-cell": f"participant_id\tnote\nsub-01\t{LONG}\n".encode(),
    "long-header": f"participant_id\t{LONG}\nsub-01\ta\n".encode(),
    "null-bytes": b"participant_id\tage\nsub-01\t5\0\n",
    "only-nulls": bytes(4000),
    "binary": gzip.compress(bytes(range(256)) * 40, mtime=0),
    "columns": b"participant_id" + b"\ta" * 1_000_000 + b"\nsub-01\n",
    "huge": b"participant_id\n" + b"sub-01\n" * (10 << 20),
}
"""Tables that cannot be used."""
ODD_TABLES: dict[str, bytes] = {
    "no-header": b"sub-01\t70\nsub-02\t80\n",
    "empty": b"",
    "line-breaks": b"\n\n\r\n\r\r",
    "only-tabs": b"\t\t\t\n\t\t\n",
    "twice": b"participant_id\tweight\tweight\tparticipant_id\nsub-01\t70\t80\tsub-02\n",
    "ragged": b"participant_id\tweight\nsub-01\nsub-02\t70\t80\t90\n\nsub-03\t\n",
    "nameless": b"\t\tparticipant_id\n1\t2\tsub-01\n",
    "quotes": b'participant_id\tweight\n"sub-01\t70\n\'sub-02"\t"80\n',
    "commas": b"participant_id,weight\nsub-01,70\n",
    "returns": b"participant_id\tweight\rsub-01\t70\rsub-02\t80\r",
    "windows": b"\xef\xbb\xbfparticipant_id\tweight\r\nsub-01\t70\r\n",
    "utf-16": "participant_id\tweight\nsub-01\t70\n".encode("utf-16"),
    "latin": b"participant_id\tsite\nsub-01\tM\xfcnchen\n",
    "separators": "participant_id\tsite\nsub-01\ta\u2028b\x0bc\x1cd\x85e\n".encode(),
    "escape": b"participant_id\tweight\nsub-01\t\x1b]0;x\x07\n",
    "html": b"participant_id\t<script>x</script>\nsub-01\t<b>\n",
    "numbers": b"participant_id\tweight\nsub-01\t" + b"9" * 6000 + b"\nsub-02\t1e999\n",
    "same-row": b"participant_id\tweight\n" + b"sub-01\t70\n" * 1000,
    "wide": b"participant_id" + b"\ta" * 9_000 + b"\nsub-01\n",
    "prototype": b"participant_id\t__class__\tconstructor\nsub-01\t1\t2\n",
}
"""Tables that are odd but can be read."""


@pytest.mark.parametrize("name", TABLES)
def test_an_unusable_table_of_participants_is_told_first_and_costs_no_result(name, scene):
    (scene.bids / "participants.tsv").write_bytes(TABLES[name])
    (line,) = unreadable_tables(scene.bids)
    assert re.search(r"participants\.tsv cannot be read", line)
    _check_copy(scene)


@pytest.mark.parametrize("name", sorted(ODD_TABLES.keys() - {"empty"}))
def test_an_odd_table_of_participants_costs_no_result(name, scene):
    (scene.bids / "participants.tsv").write_bytes(ODD_TABLES[name])
    assert unreadable_tables(scene.bids) == []
    _check_copy(scene)


def _check_copy(scene: Scene) -> None:
    """The table of the derivatives is a table, with the subject that has any."""
    config = make_config(scene.bids)
    write_image(config.output_dir / "sub-01" / "anat" / "sub-01_desc-preproc_T1w.nii.gz")
    write_participants(config)
    rows = read_table(config.output_dir / "participants.tsv")
    assert [row["participant_id"] for row in rows] == ["sub-01"]


def beside(what: str, content: bytes, says: str) -> Damage:
    """A table of frames beside the PET."""

    def apply(subject: Subject) -> None:
        subject.pet.with_name(subject.pet.name.replace(".nii.gz", ".tsv")).write_bytes(content)

    return Damage(what, apply, says)


def of_scans(what: str, content: bytes, says: str = "  PET: ", level: str = "scans") -> Damage:
    """A table of the subject's scans or sessions."""

    def apply(subject: Subject) -> None:
        path = subject.folder / f"sub-{subject.label}_{level}.tsv"
        path.write_bytes(content.replace(b"sub-X", f"sub-{subject.label}".encode()))

    return Damage(what, apply, says)


NOT_READ = r"_scans\.tsv cannot be read"
SUBJECTS = {
    **{
        f"frames-{name}": beside(f"frames: {name}", content, r"skipped: .*table.*_pet\.tsv")
        for name, content in TABLES.items()
    },
    **{
        f"frames-odd-{name}": beside(f"frames: {name}", content, "PET: |skipped: .*_pet")
        for name, content in ODD_TABLES.items()
    },
    **{
        f"scans-{name}": of_scans(f"scans: {name}", content, f"(?s)  PET: .*{NOT_READ}")
        for name, content in TABLES.items()
    },
    **{
        f"scans-odd-{name}": of_scans(f"scans: {name}", content)
        for name, content in ODD_TABLES.items()
    },
    "scans-dates": of_scans(
        "dates beyond the calendar",
        b"filename\tacq_time\npet/sub-X_pet.nii.gz\t99999-99-99T99:99:99\na\t" + b"9" * 6000,
        r"is not an ISO date",
    ),
    "scans-first-day": of_scans(
        "the first day there is",
        b"filename\tacq_time\npet/sub-X_pet.nii.gz\t0001-01-01T00:00:00\n"
        b"anat/sub-X_T1w.nii.gz\t9999-12-31T23:59:59.999999\n",
        "3652058 days away",
    ),
    "scans-names": of_scans(
        "names that lead elsewhere",
        b"filename\tacq_time\n../../../etc/passwd\t2020-01-01\n/dev/zero\t2020-01-01\n\t2020-01-01\n",
    ),
    "sessions-digits": of_scans(
        "a session of 6000 digits",
        b"session_id\tweight\n" + b"1" * 6000 + b"\t70\n",
        level="sessions",
    ),
    "sessions-nulls": of_scans(
        "null bytes", bytes(100), r"_sessions\.tsv cannot be read", level="sessions"
    ),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Mapping[str, str]:
    return dry_run(tmp_path_factory.mktemp("tables"), SUBJECTS)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_bad_table_costs_at_most_its_image(name, told):
    assert re.search(SUBJECTS[name].says, told[label_of(name)]), told[label_of(name)]


def _participants(content: bytes):
    def prepare(scene: Scene) -> list[str]:
        (scene.bids / "participants.tsv").write_bytes(content)
        return ["--dry-run"]

    return prepare


ATTACKS = {
    f"participants-{name}": Attack(
        f"participants.tsv: {name}", _participants(TABLES[name]), says="2 images of 2 of 2"
    )
    for name in ("long-cell", "null-bytes", "columns")
}


@in_table(ATTACKS)
def test_a_bad_table_of_participants_costs_no_subject(attack, scene):
    run = attempt(scene, *attack.prepare(scene))
    stands(run, attack)
    assert "participants.tsv cannot be read" in run.stdout


def test_an_unusable_table_is_told_before_anything_is_processed(scene):
    (scene.bids / "participants.tsv").write_bytes(TABLES["long-cell"])
    (scene.bids / "participants.json").write_bytes(b"[" * 1_000_000)
    run = attempt(scene, "--boilerplate-only", "--skip-bids-validation")
    ends(run, "has no columns of it")
    assert "participants.json: it is nested too deeply" in run.stderr


def test_an_unusable_table_is_told_once(scene, monkeypatch):
    """Not again at the end, when the table of the derivatives is written."""
    (scene.bids / "participants.tsv").write_bytes(TABLES["long-cell"])

    def run_no_step(config, plans, *_, **__):
        for plan in plans:
            image = scene.out / f"sub-{plan.label}" / "anat" / f"sub-{plan.label}_dseg.nii.gz"
            image.parent.mkdir(parents=True)
            image.touch()

    monkeypatch.setattr("bids_app.execution.build_and_run", run_no_step)
    run = attempt(scene, "--skip-bids-validation")
    ends(run, "has no columns of it")
    assert run.stderr.count("participants.tsv of the derivatives has no columns") == 1
    assert (scene.out / "participants.tsv").is_file()

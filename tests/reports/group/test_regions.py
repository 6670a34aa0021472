"""The group's table of regions from the tables of participants."""

import json

import pytest

from fusionprep.reading import read_table
from fusionprep.reports.group.regions import write_region_table
from fusionprep.reports.group.report import write_group_report

COLUMNS = "index\tname\tvolume-mm3\tvoxels\tcoverage\tmean\tsd\tsuv\tsuvr\tabsent\n"
PRECUNEUS = "1025\tctx-lh-precuneus\t9000\t9000\t1\t100\t8\t2.5\t1.3\tn/a\n"
PONS = "7\tpons\t40\t5\t1\tn/a\tn/a\tn/a\tn/a\tnumber of its voxels: 5, fewer than 10\n"


def write_table(out, stem: str, text: str, **sidecar) -> None:
    folder = out.joinpath(*(part for part in stem.split("_") if part[:4] in ("sub-", "ses-")))
    path = folder / "pet" / f"{stem}_morph.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    fields = {"mean": {"Units": "Bq/mL"}, **sidecar}
    path.with_suffix(".json").write_text(json.dumps(fields))


@pytest.fixture
def out(tmp_path):
    write_table(tmp_path, "sub-02_trc-PIB_seg-DK", COLUMNS + PRECUNEUS + PONS)
    write_table(tmp_path, "sub-02_trc-PIB_seg-aparcaseg", COLUMNS + PRECUNEUS)
    write_table(
        tmp_path, "sub-01_ses-a_run-2_seg-DK", COLUMNS + PRECUNEUS.replace("100", "50"),
        TracerName="[18F]FDG",
    )  # fmt: skip
    return tmp_path


def test_a_row_for_each_pet_and_a_column_for_each_region_and_measure(out):
    path, problems = write_region_table(out)
    assert not problems
    first, second = read_table(path)
    assert first["participant_id"] == "sub-01"
    assert (first["session_id"], first["tracer"], first["run"]) == ("ses-a", "[18F]FDG", "2")
    assert (second["participant_id"], second["session_id"]) == ("sub-02", "n/a")
    assert first["DK_ctx-lh-precuneus_mean"] == "50"
    assert second["DK_ctx-lh-precuneus_suvr"] == second["aparcaseg_ctx-lh-precuneus_suvr"] == "1.3"
    assert first["aparcaseg_ctx-lh-precuneus_suvr"] == "n/a"
    assert (second["DK_pons_mean"], second["DK_pons_volume"]) == ("n/a", "40")
    assert second["absent_regions"] == "DK pons: number of its voxels: 5, fewer than 10"
    assert first["absent_regions"] == "n/a"
    assert second["units"] == "Bq/mL"


def test_the_dictionary_describes_every_column(out):
    path, _ = write_region_table(out)
    described = json.loads(path.with_suffix(".json").read_text())
    assert list(described) == list(read_table(path)[0])
    assert all(column["Description"] for column in described.values())
    assert described["DK_pons_volume"]["Units"] == "mm^3"
    assert described["DK_pons_suv"]["Units"] == "g/mL"


def test_a_damaged_table_is_left_out_and_told(out):
    write_table(out, "sub-03_seg-DK", "index\tname\n1\ta\n")
    write_table(out, "sub-04_seg-DK", COLUMNS + PRECUNEUS)
    (out / "sub-04" / "pet" / "sub-04_seg-DK_morph.json").write_text("{")
    path, problems = write_region_table(out)
    assert [row["participant_id"] for row in read_table(path)] == ["sub-01", "sub-02"]
    assert [problem.split(" left out: ")[0] for problem in problems] == [
        "sub-03/pet/sub-03_seg-DK_morph.tsv", "sub-04/pet/sub-04_seg-DK_morph.tsv",
    ]  # fmt: skip
    summary = write_group_report(out)
    assert summary.regions == path
    assert list(summary.warnings) == problems


def test_a_table_of_before_does_not_stay(out):
    path, _ = write_region_table(out)
    for table in out.glob("sub-*/**/*_morph.tsv"):
        table.unlink()
    assert write_region_table(out) == (None, [])
    assert not path.exists()
    assert not path.with_suffix(".json").exists()

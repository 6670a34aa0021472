import csv
import json
import os
from pathlib import Path

import pytest

from fusionprep._version import __version__
from fusionprep.bids.dataset import (
    add_participant,
    describe_dataset,
    other_version,
    prepare_output,
    write_participants,
)
from fusionprep.config import Config
from fusionprep.errors import OutputError

DESCRIPTION = {
    "Name": "Köln",
    "BIDSVersion": "1.9.0",
    "Authors": ["A. Person"],
    "License": "CC0",
    "DatasetDOI": "doi:10.1/x",
}


@pytest.fixture
def config(tmp_path) -> Config:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "dataset_description.json").write_text(json.dumps(DESCRIPTION))
    return Config(bids_dir=raw, output_dir=tmp_path / "a" / "out", work_dir=tmp_path / "work")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def test_description_of_the_derivatives(config):
    description = describe_dataset(config)
    assert description["DatasetType"] == "derivative"
    assert description["Name"] == "fusionprep derivatives of Köln"
    assert description["GeneratedBy"][0]["Name"] == "fusionprep"
    assert description["GeneratedBy"][0]["Version"] == __version__
    assert description["License"] == "CC0"
    assert description["SourceDatasets"] == [{"DOI": "doi:10.1/x"}]
    assert description["Authors"][0] == "A. Person"
    assert (config.output_dir / description["DatasetLinks"]["raw"]).resolve() == config.bids_dir


@pytest.mark.parametrize(
    ("environment", "container"),
    [
        ({}, None),
        # by which name it was started, nobody has told
        ({"IS_CONTAINER": "1"}, {"Type": "docker"}),
        ({"IS_CONTAINER": "1", "container": "podman"}, {"Type": "podman"}),
        ({"IS_CONTAINER": "1", "APPTAINER_CONTAINER": "/a.sif"}, {"Type": "apptainer"}),
        (
            {"IS_CONTAINER": "1", "FUSIONPREP_CONTAINER_TAG": "me/app:2"},
            {"Type": "docker", "Tag": "me/app:2"},
        ),
    ],
)
def test_the_container_is_named_where_there_is_one(config, monkeypatch, environment, container):
    for name in ("IS_CONTAINER", "FUSIONPREP_CONTAINER_TAG", "APPTAINER_CONTAINER", "container"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert describe_dataset(config)["GeneratedBy"][0].get("Container") == container


@pytest.mark.parametrize("content", ["", "[]", '{"Authors": "one"}', None])
def test_a_poor_raw_description_is_no_hindrance(config, content):
    path = config.bids_dir / "dataset_description.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    description = describe_dataset(config)
    assert description["Name"] == "fusionprep derivatives of raw"
    assert len(description["Authors"]) == 2
    assert "License" not in description


def test_prepared_output_describes_itself(config):
    prepare_output(config)
    out = config.output_dir
    written = json.loads((out / "dataset_description.json").read_text("utf-8"))
    assert written == describe_dataset(config)
    names = {path.name for path in out.iterdir()}
    assert names == {
        ".bidsignore", "README.md", "dataset_description.json", "descriptions.tsv",
        "descriptions.json",
    }  # fmt: skip
    described = {row["desc_id"]: row["description"] for row in rows(out / "descriptions.tsv")}
    assert {"desc-preproc", "desc-brain", "desc-suv", "desc-suvr"} <= set(described)
    assert {"desc-fusedReadFuse", "desc-fusedReadFuseColor"} <= set(described)


def test_descriptions_list_what_this_run_writes(config):
    options = {"modalities": ("pet", "ct"), "models": ("average", "gmpet")}
    prepare_output(config.with_options(**options, anat_contrast="FLAIR"))
    described = {
        row["desc_id"].removeprefix("desc-"): row["description"]
        for row in rows(config.output_dir / "descriptions.tsv")
    }
    fused = {name: text for name, text in described.items() if name.startswith("fused")}
    assert fused == {
        "fusedFLAIRAverage": "FLAIR and PET fused by Average",
        "fusedFLAIRAverageColor": "FLAIR and PET in colour, beside Average",
        "fusedCTFLAIRAverage": "FLAIR and CT fused by Average",
        "fusedGMPET": "Gray matter of the T1w and PET fused by GMPET",
        "fusedGMPETColor": "T1w and PET in colour, beside GMPET",
    }


def test_descriptions_of_earlier_runs_are_kept(config):
    prepare_output(config)
    path = config.output_dir / "descriptions.tsv"
    path.write_text(path.read_text("utf-8") + "desc-earlier\tAnother model\n", "utf-8")
    prepare_output(config)
    described = {row["desc_id"]: row["description"] for row in rows(path)}
    assert described["desc-earlier"] == "Another model"
    assert len(described) == len(rows(path))


def test_an_output_folder_that_cannot_be_made(config):
    config.output_dir.parent.write_text("a file")
    with pytest.raises(OutputError, match="cannot write to the output folder") as caught:
        prepare_output(config)
    assert str(config.output_dir) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_an_output_folder_without_permission(config):
    config.output_dir.mkdir(parents=True)
    config.output_dir.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        prepare_output(config)


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (None, None),
        ("not JSON", None),
        ('{"GeneratedBy": []}', None),
        ('{"GeneratedBy": ["fusionprep"]}', None),
        ('{"GeneratedBy": [{"Name": "fMRIPrep", "Version": "1"}]}', None),
        ('{"GeneratedBy": [{"Name": "fusionprep", "Version": "0.0.1"}]}', "0.0.1"),
        (json.dumps({"GeneratedBy": [{"Name": "fusionprep", "Version": __version__}]}), None),
    ],
)
def test_results_of_another_version_are_noticed(tmp_path, content, version):
    if content is not None:
        (tmp_path / "dataset_description.json").write_text(content)
    assert other_version(tmp_path) == version


def with_derivatives(config: Config, *labels: str) -> None:
    for label in labels:
        anat = config.output_dir / f"sub-{label}" / "anat"
        anat.mkdir(parents=True)
        (anat / f"sub-{label}_dseg.nii.gz").touch()
        (config.output_dir / f"sub-{label}.html").touch()


def write_table(config: Config, content: str, encoding: str = "utf-8") -> None:
    (config.bids_dir / "participants.tsv").write_bytes(content.encode(encoding))


def test_participants_are_those_with_derivatives(config):
    with_derivatives(config, "02", "01")
    write_table(config, "participant_id\tage\nsub-01\t34\nsub-02\t\nsub-03\t50\n")
    (config.bids_dir / "participants.json").write_text('{"age": {"Description": "Years"}}')
    write_participants(config)
    assert rows(config.output_dir / "participants.tsv") == [
        {"participant_id": "sub-01", "age": "34"},
        {"participant_id": "sub-02", "age": "n/a"},
    ]
    sidecar = json.loads((config.output_dir / "participants.json").read_text())
    assert sidecar["age"] == {"Description": "Years"}
    assert "participant_id" in sidecar


def test_without_a_raw_table_there_are_labels_alone(config):
    with_derivatives(config, "01")
    write_participants(config)
    assert rows(config.output_dir / "participants.tsv") == [{"participant_id": "sub-01"}]


def test_without_derivatives_there_is_no_table(config):
    config.output_dir.mkdir(parents=True)
    write_participants(config)
    assert list(config.output_dir.iterdir()) == []


def test_a_subject_the_raw_table_does_not_have(config):
    with_derivatives(config, "01", "09")
    write_table(config, "participant_id\tage\nsub-01\t34\n")
    write_participants(config)
    assert rows(config.output_dir / "participants.tsv")[1] == {
        "participant_id": "sub-09", "age": "n/a",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "encoding", "age"),
    [
        ("\ufeffparticipant_id\tage\nsub-01\t34\n", "utf-8", "34"),
        ("participant_id\tage\r\nsub-01\t34\r\n", "utf-8", "34"),
        ("participant_id\tage\nsub-01\t34\ttoo\tmany\n", "utf-8", "34"),
        ("participant_id\tage\nsub-01\n", "utf-8", "n/a"),
        ('participant_id\tage\nsub-01\t"34\n\n', "utf-8", '"34'),
        ("participant_id\tage\nsub-01\tKöln\n", "latin-1", "K\ufffdln"),
        ("age\n34\n", "utf-8", None),
    ],
    ids=["mark", "CRLF", "long row", "short row", "quote", "latin-1", "no labels"],
)
def test_tables_that_are_not_quite_right(config, content, encoding, age):
    with_derivatives(config, "01")
    write_table(config, content, encoding)
    write_participants(config)
    (row,) = raw_rows(config)
    assert row["participant_id"] == "sub-01"
    assert row.get("age") == age


BROKEN_TABLES = {
    "long cell": b"participant_id\tx\nsub-01\t" + b"x" * 200_000 + b"\n",
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n",
    "empty": b"",
}


@pytest.mark.parametrize("content", BROKEN_TABLES.values(), ids=BROKEN_TABLES)
def test_a_raw_table_that_cannot_be_read_costs_its_columns(config, content):
    with_derivatives(config, "01")
    (config.bids_dir / "participants.tsv").write_bytes(content)
    for told in (write_participants(config), add_participant(config, "01")):
        assert str(config.bids_dir / "participants.tsv") in told
        assert rows(config.output_dir / "participants.tsv") == [{"participant_id": "sub-01"}]


def test_a_raw_table_that_can_be_read_is_not_worth_a_word(config):
    with_derivatives(config, "01")
    assert write_participants(config) == ""
    write_table(config, "participant_id\tage\nsub-01\t34\n")
    assert write_participants(config) == ""


def test_participants_are_added_one_by_one(config):
    write_table(config, "participant_id\tage\nsub-01\t34\nsub-02\t35\n")
    for labels in (["02"], ["01", "02"], ["01", "02", "09"]):
        new = next(label for label in labels if not (config.output_dir / f"sub-{label}").exists())
        with_derivatives(config, new)
        add_participant(config, new)
        listed = rows(config.output_dir / "participants.tsv")
        assert [row["participant_id"] for row in listed] == [f"sub-{label}" for label in labels]
    added = (config.output_dir / "participants.tsv").read_bytes()
    write_participants(config)
    assert (config.output_dir / "participants.tsv").read_bytes() == added


def test_one_is_added_without_looking_for_all_others(config):
    with_derivatives(config, "01")
    add_participant(config, "01")
    with_derivatives(config, "02", "03")
    add_participant(config, "03")
    listed = [row["participant_id"] for row in rows(config.output_dir / "participants.tsv")]
    assert listed == ["sub-01", "sub-03"]


@pytest.mark.parametrize("content", ["", "x\ty\n1\t2\n", "participant_id\n../x\n", "\0\n\0\n"])
def test_a_damaged_table_of_participants_is_made_again(config, content):
    with_derivatives(config, "01", "02")
    (config.output_dir / "participants.tsv").write_text(content)
    add_participant(config, "02")
    listed = [row["participant_id"] for row in rows(config.output_dir / "participants.tsv")]
    assert listed == ["sub-01", "sub-02"]


def test_one_without_images_is_not_added(config):
    config.output_dir.mkdir(parents=True)
    add_participant(config, "01")
    assert list(config.output_dir.iterdir()) == []


def raw_rows(config: Config) -> list[dict[str, str]]:
    lines = (config.output_dir / "participants.tsv").read_text("utf-8").splitlines()
    names = lines[0].split("\t")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]


def test_a_subject_whose_processing_failed_has_no_row(config):
    with_derivatives(config, "01")
    (config.output_dir / "sub-02" / "figures").mkdir(parents=True)
    write_participants(config)
    assert rows(config.output_dir / "participants.tsv") == [{"participant_id": "sub-01"}]

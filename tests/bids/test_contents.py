"""What an image is, whatever it is called."""

import pytest

from fusionprep.bids.names import OutputNames
from fusionprep.bids.plan import describe_plan
from tests.bids.skeleton import (
    PET_SIDECAR,
    image_names,
    only_pairing,
    only_plan,
    pet,
    plans_of,
    t1w,
    write_dataset,
    write_image,
    write_json,
)


def anat(rest: str, suffix: str, session: str | None = None) -> str:
    return t1w(session, rest).replace("_T1w.", f"_{suffix}.")


def sidecar_of(root, image: str):
    return root / image.replace(".nii.gz", ".json")


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("_rec-nacdyn", {}, "rec-nacdyn"),
        ("_rec-NAC", {}, "rec-NAC"),
        ("_rec-dynNAC", {}, "rec-dynNAC"),
        ("_rec-noac", {}, "rec-noac"),
        ("_acq-NAC_trc-FDG", {}, "acq-NAC"),
        ("", {"AttenuationCorrection": "none"}, "AttenuationCorrection is "),
        ("", {"AttenuationCorrection": "None"}, "AttenuationCorrection is None"),
        ("", {"AttenuationCorrection": False}, "AttenuationCorrection is False"),
        ("", {"AttenuationCorrection": "not applied"}, "is not applied"),
        ("", {"AttenuationCorrectionMethod": "NONE"}, "AttenuationCorrectionMethod is NONE"),
        ("", {"ImageType": ["ORIGINAL", "PRIMARY", "NAC"]}, "ImageType is"),
        ("", {"CorrectedImage": ["DECY", "SCAT"]}, "CorrectedImage does not name ATTN"),
        ("", {"SeriesDescription": "Brain FDG (NAC)"}, "SeriesDescription is Brain"),
        ("_rec-acdyn", {}, ""),
        ("_rec-dynac", {}, ""),
        ("_rec-ctac", {"AttenuationCorrection": "CT-based"}, ""),
        ("", {"AttenuationCorrection": "n/a"}, ""),
        ("", {"AttenuationCorrection": "not available"}, ""),
        ("", {"AttenuationCorrection": "measured, AC_CT_Brain"}, ""),
        ("", {"ImageType": ["ORIGINAL", "PRIMARY", "AC"]}, ""),
        ("", {"CorrectedImage": ["DECY", "ATTN", "SCAT"]}, ""),
    ],
)
def test_without_attenuation_correction_there_is_no_suv(tmp_path, name, fields, reason):
    metadata = {**PET_SIDECAR, "BodyWeight": 70, **fields}
    root = write_dataset(tmp_path, t1w(), pet(rest=name), sidecar=metadata)
    plan = only_plan(root)
    facts = plan.pairings[0].image.pet
    assert (facts.suv is None) == bool(reason)
    if reason:
        assert facts.no_suv == facts.no_suvr
        assert "not corrected for attenuation" in facts.no_suv
        assert reason in facts.no_suv
        assert facts.doubts
        assert facts.no_suv in describe_plan([plan])
    else:
        # 70 kg and 200 MBq: 70000 g / 2e8 Bq
        assert facts.suv.factor == pytest.approx(3.5e-4)
        assert not facts.no_suvr
        assert not facts.doubts


def test_an_uncorrected_image_is_left_out_where_the_scan_was_corrected(tmp_path):
    root = write_dataset(
        tmp_path,
        t1w("a"),
        pet("a", "_trc-FDG_rec-acdyn"),
        pet("a", "_trc-FDG_rec-nacdyn"),
        pet("a", "_trc-PIB_rec-nacdyn"),
        t1w("b"),
        pet("b", "_trc-FDG_rec-nacdyn"),
        sidecar={key: PET_SIDECAR[key] for key in PET_SIDECAR if key != "TracerName"},
    )
    plan = only_plan(root)
    assert [pairing.image.path.name for pairing in plan.pairings] == [
        "sub-01_ses-a_trc-FDG_rec-acdyn_pet.nii.gz",
        "sub-01_ses-a_trc-PIB_rec-nacdyn_pet.nii.gz",
        "sub-01_ses-b_trc-FDG_rec-nacdyn_pet.nii.gz",
    ]
    assert plan.notes[0] == (
        "left out, not corrected for attenuation (rec-nacdyn), as"
        " sub-01_ses-a_trc-FDG_rec-acdyn_pet.nii.gz is: sub-01_ses-a_trc-FDG_rec-nacdyn_pet.nii.gz"
    )
    assert not plan.problems
    asked = only_plan(root, rec_label=("nacdyn", "acdyn"))
    assert len(asked.pairings) == 4


@pytest.mark.parametrize("tracer", ["FDG", None])
def test_corrected_and_uncorrected_are_told_by_acq(tmp_path, tracer):
    sidecar = {**PET_SIDECAR, "TracerName": tracer}
    root = write_dataset(
        tmp_path, t1w(), pet(rest="_acq-AC"), pet(rest="_acq-NAC"), sidecar=sidecar
    )
    plan = only_plan(root)
    assert [pairing.image.entities["acq"] for pairing in plan.pairings] == ["AC"]
    assert not plan.problems


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("_rec-ctac", {"Units": "1/cm"}, "a map of attenuation (Units 1/cm)"),
        ("", {"Units": "cm^-1"}, "a map of attenuation"),
        ("", {"Units": "1CM"}, "a map of attenuation"),
        ("", {"Units": "HU"}, "a map of attenuation"),
        ("", {"Modality": "CT"}, "no PET (Modality CT)"),
        ("", {"Modality": "MR"}, "no PET (Modality MR)"),
        ("_rec-mumap", {}, "a map of attenuation"),
        ("", {"ImageType": ["DERIVED", "UMAP"]}, "a map of attenuation"),
        ("", {"Modality": "PT"}, ""),
        ("_rec-ctac", {}, ""),
    ],
)
def test_maps_of_attenuation_are_left_out_by_name(tmp_path, name, fields, reason):
    root = write_dataset(tmp_path, t1w(), pet(rest="_trc-PIB"), pet(rest=f"_trc-FDG{name}"))
    write_json(sidecar_of(root, pet(rest=f"_trc-FDG{name}")), {**PET_SIDECAR, **fields})
    plan = only_plan(root)
    assert not plan.problems
    assert len(plan.pairings) == (1 if reason else 2)
    told = [note for note in plan.notes if note.startswith("left out")]
    assert len(told) == bool(reason)
    if reason:
        assert told[0].startswith(f"left out, {reason}")
        assert told[0].endswith(f": sub-01_trc-FDG{name}_pet.nii.gz")


def test_a_map_alone_leaves_no_pet(tmp_path):
    root = write_dataset(tmp_path, t1w(), pet(), sidecar={"Units": "1/cm"})
    plan = only_plan(root)
    assert [problem.message for problem in plan.problems] == ["sub-01 has no PET image"]
    assert "sub-01_pet.nii.gz" in plan.notes[0]


@pytest.mark.parametrize(
    ("rest", "fields", "told"),
    [
        ("_acq-FLAIR", {}, "by acq-FLAIR"),
        ("_acq-3dflair", {}, "by acq-3dflair"),
        ("", {"InversionTime": 1.65}, "by its InversionTime of 1.65"),
        ("", {"InversionTime": 2500}, "by its InversionTime of 2500"),
        ("", {"InversionTime": "1.8"}, "by its InversionTime of 1.8"),
        ("", {"SeriesDescription": "t2_tirm_tra_dark-fluid"}, "by its SeriesDescription"),
        ("", {"InversionTime": 0.16}, ""),
        ("_acq-TSE", {"SeriesDescription": "t2_tse_tra"}, ""),
    ],
)
def test_a_flair_named_t2w_is_a_flair(tmp_path, rest, fields, told):
    image = anat(rest, "T2w")
    name = image.split("/")[-1]
    root = write_dataset(tmp_path, t1w(), image)
    write_json(sidecar_of(root, image), fields)
    assert image_names(root, query="flair") == [name] * bool(told)
    assert image_names(root, query="t2w") == [name] * (not told)
    assert image_names(root, query="flair", modalities=("flair",)) == [name] * bool(told)
    plan = only_plan(root, modalities=("flair", "t2w"))
    (pairing,) = plan.pairings
    suffix = "FLAIR" if told else "T2w"
    assert OutputNames(pairing.image, pairing.modality)().endswith(f"_{suffix}.nii.gz")
    assert any("it is a FLAIR" in note and told in note for note in plan.notes) == bool(told)
    left = only_plan(root, modalities=("t2w",))
    assert len(left.pairings) == (not told)
    assert (f"left out, a FLAIR though named T2w: {name}" in left.notes) == bool(told)


@pytest.mark.parametrize(
    ("part", "session"),
    [("sess-d0125", "d0125"), ("session-2", "2"), ("visit-M06", "M06"), ("SES-1", "1")],
)
def test_a_part_that_can_be_a_session_is_read_as_one(tmp_path, part, session):
    root = write_dataset(
        tmp_path,
        f"sub-01/anat/sub-01_{part}_run-01_T1w.nii.gz",
        f"sub-01/pet/sub-01_{part}_acq-FDG_pet.nii.gz",
        "sub-01/anat/sub-01_sess-d9999_T1w.nii.gz",
    )
    plan = only_plan(root)
    (pairing,) = plan.pairings
    assert (pairing.image.session, pairing.reason) == (session, "same session")
    assert pairing.t1w.entities["run"] == "01"
    assert f"/ses-{session}/" in OutputNames(pairing.image, pairing.modality)()
    note = f"the part {part} of its name is read as ses-{session}"
    assert f"sub-01_{part}_acq-FDG_pet.nii.gz: {note}" in plan.notes
    assert only_plan(root, session_label=(session,)).pairings
    assert not only_plan(root, session_label=("other",)).pairings


def test_days_of_sessions_written_otherwise_count(tmp_path):
    """OASIS-3 as it names its files: 423 - 129 days."""
    root = write_dataset(
        tmp_path,
        "sub-01/anat/sub-01_sess-d0129_T1w.nii.gz",
        "sub-01/anat/sub-01_sess-d3132_T1w.nii.gz",
        "sub-01/pet/sub-01_sess-d0423_acq-AV45_pet.nii.gz",
    )
    assert only_pairing(root).day_gap == 294


@pytest.mark.parametrize("part", ["MPRAGE", "size-2", "sess-x"])
def test_other_parts_that_bids_does_not_know_are_noted(tmp_path, part):
    image = f"sub-01/ses-a/anat/sub-01_ses-a_{part}_T1w.nii.gz"
    plan = only_plan(write_dataset(tmp_path, image, pet("a")))
    (note,) = (note for note in plan.notes if "T1w" in note)
    assert note.endswith(f": the part {part} of its name is unknown to BIDS and is not read")
    repeated = write_dataset(tmp_path / "b", image.replace(part, "sess-a"), pet("a"))
    assert not [note for note in only_plan(repeated).notes if "part" in note]


def test_files_that_are_not_read_are_named(tmp_path):
    root = write_dataset(tmp_path, t1w(), pet())
    files = (
        "pet/sub-01_bpnd.nii.gz", "pet/sub-01_timecourse.tsv", "pet/sub-01_ct_Eq_1.nii.gz",
        "pet/sub-01_pet.v", "pet/sub-01_blood.tsv", "anat/sub-01_T1w.mnc", "anat/sub-01_T1w.mgz",
        "anat/sub-01_T1w.hdr", "anat/sub-01_T1w.img", "anat/sub-01_T1.nii.gz",
        "anat/sub-01_T2starw.nii.gz", "anat/sub-01_run-2_T1w.NII.GZ", "pet/sub-01_pet.nii.zst",
        "T1.mgz", "pet/0001.dcm", "pet/0002.dcm", "pet/0003.dcm", "pet/0004.dcm",
        "func/sub-01_bold.mnc",
    )  # fmt: skip
    for name in files:
        (root / "sub-01" / name).parent.mkdir(exist_ok=True)
        (root / "sub-01" / name).write_bytes(b"x")
    plan = only_plan(root)
    assert len(plan.pairings) == 1
    assert sorted(note for note in plan.notes if note.startswith("not read")) == [
        "not read, DICOM, convert them to NIfTI: 0001.dcm, 0002.dcm, 0003.dcm and 1 more",
        "not read, ECAT, convert them to NIfTI: sub-01_pet.v",
        "not read, MINC, convert them to NIfTI: sub-01_T1w.mnc",
        "not read, an extension in capitals, write it as .nii or .nii.gz: sub-01_run-2_T1w.NII.GZ",
        "not read, compressed otherwise than by gzip, decompress them: sub-01_pet.nii.zst",
        "not read, images of FreeSurfer (MGH), convert them to NIfTI: T1.mgz, sub-01_T1w.mgz",
        "not read, pairs of header and image (Analyze or NIfTI), convert them to NIfTI:"
        " sub-01_T1w.hdr, sub-01_T1w.img",
        "not read, unknown suffix 1: sub-01_ct_Eq_1.nii.gz",
        "not read, unknown suffix T1: sub-01_T1.nii.gz",
        "not read, unknown suffix bpnd: sub-01_bpnd.nii.gz",
        "not read, unknown suffix timecourse: sub-01_timecourse.tsv",
    ]


def test_files_in_sessions_are_named_where_nothing_else_is_there(tmp_path):
    root = write_dataset(tmp_path)
    (root / "sub-01/ses-a/anat").mkdir(parents=True)
    (root / "sub-01/ses-a/anat/sub-01_ses-a_T1w.mgz").write_bytes(b"x")
    plan = only_plan(root)
    assert plan.problems
    assert plan.notes[0].endswith(": sub-01_ses-a_T1w.mgz")


def test_a_unit1_alone_serves_as_t1w(tmp_path):
    images = (anat("", "UNIT1"), pet())
    root = write_dataset(tmp_path / "alone", *images)
    plan = only_plan(root)
    assert plan.pairings[0].t1w.suffix == "UNIT1"
    assert "sub-01_UNIT1.nii.gz: a UNIT1 serves as T1w, as there is none" in plan.notes
    beside = write_dataset(tmp_path / "beside", *images, t1w("a"))
    assert only_pairing(beside).t1w.suffix == "T1w"
    filtered = only_plan(beside, bids_filters={"t1w": {"run": 7}})
    assert not filtered.pairings
    two = write_dataset(tmp_path / "two", *images, t1w(subject="02"), pet(subject="02"))
    assert [plan.pairings[0].t1w.suffix for plan in plans_of(two).values()] == ["UNIT1", "T1w"]


@pytest.mark.parametrize("label", ["defaced", "deface", "pydeface", "refaced"])
def test_a_defaced_image_is_taken_where_there_is_no_other(tmp_path, label):
    defaced = t1w(rest=f"_desc-{label}")
    root = write_dataset(tmp_path / "alone", defaced, pet())
    plan = only_plan(root)
    (pairing,) = plan.pairings
    assert pairing.t1w.path == root / defaced
    assert any("defaced" in note and "no other" in note for note in plan.notes)
    assert not [note for note in plan.notes if "derivative" in note]
    beside = write_dataset(tmp_path / "beside", defaced, t1w(), pet())
    assert only_pairing(beside).t1w.path == beside / t1w()
    brain = write_dataset(tmp_path / "brain", t1w(rest="_desc-brain"), pet())
    assert not only_plan(brain).pairings


def test_a_defaced_image_of_another_modality_is_taken_too(tmp_path):
    flair = anat("_desc-defaced", "FLAIR")
    root = write_dataset(tmp_path, t1w(), pet(rest="_trc-FDG_desc-defaced"), flair)
    plan = only_plan(root, modalities=("pet", "flair"))
    assert [pairing.modality.name for pairing in plan.pairings] == ["pet", "flair"]


def test_notes_reach_sidecars(tmp_path):
    root = write_dataset(tmp_path, "sub-01/pet/sub-01_sess-a_pet.nii.gz")
    write_image(root / anat("", "UNIT1"), voxel_size=50)
    pairing = only_pairing(root)
    assert pairing.notes[0] == "the part sess-a of its name is read as ses-a"
    assert pairing.t1w.notes == ("a UNIT1 serves as T1w, as there is none",)

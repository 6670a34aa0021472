"""The plan of a dataset: what is processed, what is refused and how it reads."""

import pytest

from fusionprep.bids import subject_tables
from fusionprep.bids.plan import describe_plan
from fusionprep.reading import read_table
from tests.bids.skeleton import (
    PET_SIDECAR,
    only_pairing,
    only_plan,
    pet,
    plans_of,
    t1w,
    write_dataset,
    write_image,
)


def test_missing_images_are_one_line_each_and_leave_others_in(tmp_path):
    root = write_dataset(tmp_path, t1w(), t1w(subject="03"), pet(subject="02"), pet(subject="03"))
    (tmp_path / "sub-a_b").mkdir()
    plans = plans_of(root)
    assert [(p.kind, p.message) for p in plans["01"].problems] == [
        ("missing", "sub-01 has no PET image")
    ]
    assert "sub-02 has no T1w image" in plans["02"].problems[0].message
    assert "not a BIDS label" in plans["a_b"].problems[0].message
    assert len(plans["03"].pairings) == 1


def test_unknown_participants_are_reported(tmp_path):
    root = write_dataset(tmp_path, t1w(), pet())
    plans = plans_of(root, participant_label=("sub-01", "99"))
    assert len(plans["01"].pairings) == 1
    assert plans["99"].problems[0].message == "the dataset has no folder sub-99"


def test_filters_that_leave_nothing_are_named(tmp_path):
    root = write_dataset(tmp_path, t1w(), pet(rest="_trc-FDG"))
    (problem,) = only_plan(root, tracer_label=("PIB",)).problems
    assert problem.message == "sub-01 has no PET image that passes --tracer-label PIB"


def test_a_missing_sidecar_is_a_note(tmp_path):
    root = write_dataset(tmp_path, t1w(), pet())
    plan = only_plan(root)
    assert plan.pairings
    assert not plan.problems
    assert "has no sidecar: units, tracer and frame times" in plan.notes[0]
    (root / pet().replace(".nii.gz", ".tsv")).write_text("start\tduration\n0\t60\n", "utf-8")
    assert "has no sidecar: units and tracer are" in only_plan(root).notes[0]


def test_frames_are_timed_by_a_table_beside_the_image(tmp_path):
    root = write_dataset(tmp_path, t1w())
    image = write_image(root / pet(rest="_acq-PIB"), (4, 4, 4, 2), sidecar={"TracerName": "PIB"})
    table = image.with_name("sub-01_acq-PIB_pet.tsv")
    table.write_text("Frame\tStart\tDuration\n1\t0\t60\n2\t60\t300\n", "utf-8")
    text = describe_plan([only_plan(root)])
    assert f"2 frames, weighted by duration (frame times from {table.name})" in text
    table.write_text("start\tduration\n0\t60\n", "utf-8")
    (problem,) = only_plan(root).problems
    assert f"{image} has 2 frames but {table.name} lists 1" in problem.message


def test_a_bad_pet_leaves_the_others_in(tmp_path):
    root = write_dataset(tmp_path, t1w(), pet(rest="_trc-A"))
    (root / pet(rest="_trc-B")).write_bytes(b"no gzip at all")
    write_image(root / pet(rest="_trc-C"), (4, 4, 4, 3), sidecar={"FrameDuration": [1, 2]})
    plan = only_plan(root)
    assert [pairing.image.entities["trc"] for pairing in plan.pairings] == ["A"]
    assert [problem.kind for problem in plan.problems] == ["data", "data"]
    assert "3 frames but FrameDuration lists 2" in plan.problems[1].message


def test_a_bad_t1w_is_named_once(tmp_path):
    root = write_dataset(tmp_path, pet())
    write_image(root / t1w(), (4, 4, 4, 5))
    (problem,) = only_plan(root).problems
    assert problem.message.startswith("the T1w is 4-D (5 volumes): ")


def test_a_bad_t1w_does_not_keep_a_good_one_from_being_used(tmp_path):
    root = write_dataset(tmp_path, t1w(rest="_run-02"), pet())
    write_image(root / t1w(rest="_run-01"), (4, 4, 4, 5))
    plan = only_plan(root)
    assert plan.pairings[0].t1w.entities["run"] == "02"
    assert len(plan.problems) == 1


def test_headers_are_kept_in_the_plan(tmp_path):
    root = write_dataset(tmp_path, t1w())
    write_image(root / pet(), (4, 5, 6, 3), 2.5)
    pairing = only_pairing(root)
    assert pairing.image.shape == (4, 5, 6, 3)
    assert pairing.image.n_frames == 3
    assert pairing.image.voxel_sizes == (2.5, 2.5, 2.5)
    assert pairing.t1w.n_frames == 1


def test_the_plan_in_words(tmp_path):
    root = write_dataset(tmp_path, t1w("d0129"), t1w("d3132"), t1w(subject="02"))
    timing = {"FrameTimesStart": [0, 60], "FrameDuration": [60, 60], "TracerName": "FDG"}
    write_image(root / pet("d0423"), (4, 4, 4, 2), sidecar=timing)
    text = describe_plan(list(plans_of(root).values()))
    assert text == "\n".join(
        [
            "sub-01",
            "  PET: sub-01/ses-d0423/pet/sub-01_ses-d0423_pet.nii.gz",
            "    tracer FDG, 2 frames, weighted by duration (FrameTimesStart and FrameDuration);"
            " no SUV: the image is in unknown units; SUVR by whole-brain",
            "    with sub-01/ses-d0129/anat/sub-01_ses-d0129_T1w.nii.gz "
            "(nearest session, 294 days apart)",
            "  note: sub-01_ses-d0423_pet.nii.gz: all 2 frames are averaged, not those of the usual"
            " window of [18F]FDG, 30 to 60 min (customary; guidelines ask for an uptake of at least"
            " 30 min): InjectionStart is not given",
            "  note: sub-01_ses-d3132_T1w.nii.gz is not used: no image is paired with it",
            "",
            "sub-02: nothing to process",
            "  skipped: sub-02 has no PET image",
            "  note: sub-02_T1w.nii.gz is not used: no image is paired with it",
            "",
            "1 image of 1 of 2 subjects to process, 1 problem",
        ]
    )


def test_the_plan_tells_what_was_left_out_and_why(tmp_path):
    root = write_dataset(
        tmp_path,
        t1w("a"),
        t1w("a", "_part-phase"),
        t1w("a", "_desc-brain"),
        pet("a", "_trc-FDG"),
        *(pet("a", f"_trc-PIB_run-{number}") for number in range(1, 6)),
        pet("a", "_trc-FDG_space-MNI"),
        "sub-01/ses-a/ct/sub-01_ses-a_ct.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_rec-x_bold.nii.gz",
    )
    plan = only_plan(root, tracer_label=("FDG",))
    assert len(plan.pairings) == 1
    assert set(plan.expected) == {
        "left out, FLAIR is not among --modalities: sub-01_ses-a_FLAIR.nii.gz",
        "left out, CT is not among --modalities: sub-01_ses-a_ct.nii.gz",
        "left out, not a magnitude image (part-): sub-01_ses-a_part-phase_T1w.nii.gz",
        "left out, taken for a derivative because of desc-: sub-01_ses-a_desc-brain_T1w.nii.gz",
        "left out, taken for a derivative because of space-:"
        " sub-01_ses-a_trc-FDG_space-MNI_pet.nii.gz",
        "left out, excluded by --tracer-label FDG: sub-01_ses-a_trc-PIB_run-1_pet.nii.gz,"
        " sub-01_ses-a_trc-PIB_run-2_pet.nii.gz, sub-01_ses-a_trc-PIB_run-3_pet.nii.gz and 2 more",
    }
    (note,) = plan.notes
    assert "has no sidecar" in note


def test_an_image_with_a_broken_sidecar_is_a_problem_and_not_left_out(tmp_path):
    root = write_dataset(tmp_path, t1w(), pet())
    (root / pet().replace(".nii.gz", ".json")).write_text("{", encoding="utf-8")
    plan = only_plan(root)
    assert len(plan.problems) == 1
    assert not [note for note in plan.expected if note.startswith("left out")]


def test_a_cohort_is_planned_completely(tmp_path):
    sessions = ("M000", "M012", "M024")
    files = [
        make(session, rest, subject)
        for subject in (f"{number:02d}" for number in range(1, 41))
        for session in sessions
        for make, rest in ((t1w, ""), (pet, "_trc-18FFDG"))
    ]
    root = write_dataset(tmp_path / "raw", *files, sidecar=PET_SIDECAR)
    plans = plans_of(root, bids_database_dir=tmp_path / "index")
    assert len(plans) == 40
    assert all(len(plan.pairings) == 3 and not plan.problems for plan in plans.values())
    again = plans_of(root, bids_database_dir=tmp_path / "index")
    assert again == plans


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (
            "cermep",
            {
                "sub-0001_pet": ("sub-0001_T1w", None),
                "sub-0002_pet": ("sub-0002_T1w", None),
                "sub-0002_ct": ("sub-0002_T1w", None),
                "sub-0002_FLAIR": ("sub-0002_T1w", None),
            },
        ),
        (
            "oasis3",
            {"sub-OAS30001_ses-d0423_acq-FDG_pet": ("sub-OAS30001_ses-d0129_run-01_T1w", 294)},
        ),
        (
            "adni",
            {
                "sub-ADNI027S0074_ses-M000_trc-18FFDG_rec-coregavg_pet": (
                    "sub-ADNI027S0074_ses-M000_T1w",
                    None,
                )
            },
        ),
    ],
)
def test_real_layouts(shared_data, dataset, expected):
    plans = plans_of(shared_data / "bids" / dataset, modalities=("pet", "ct", "flair"))
    found = {
        pairing.image.path.name.removesuffix(".nii.gz"): (
            pairing.t1w.path.name.removesuffix(".nii.gz"),
            pairing.day_gap,
        )
        for plan in plans.values()
        for pairing in plan.pairings
    }
    assert found == expected
    assert not [problem for plan in plans.values() for problem in plan.problems]


def test_the_table_of_participants_is_read_once_for_all(tmp_path, monkeypatch):
    subjects = {"01": 61, "02": 62, "03": 63}
    files = [
        make(session, rest, subject)
        for subject in subjects
        for session in ("M000", "M012")
        for make, rest in ((t1w, ""), (pet, "_trc-18FFDG"))
    ]
    root = write_dataset(tmp_path / "raw", *files, sidecar=PET_SIDECAR)
    rows = [f"sub-{label}\t{weight}\n" for label, weight in subjects.items()]
    (root / "participants.tsv").write_text("participant_id\tweight\n" + "".join(rows))
    read = []

    def counted(path):
        read.append(path.name)
        return read_table(path)

    monkeypatch.setattr(subject_tables, "read_table", counted)
    plans = plans_of(root)
    weights = {
        label: {pairing.image.pet.suv.weight_kg for pairing in plan.pairings}
        for label, plan in plans.items()
    }
    assert weights == {label: {weight} for label, weight in subjects.items()}
    assert read.count("participants.tsv") == 1

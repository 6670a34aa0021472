"""Which T1w belongs to which image."""

import re

import pytest

from fusionprep.bids.names import OutputNames
from tests.bids.skeleton import (
    PET_SIDECAR,
    only_pairing,
    only_plan,
    pet,
    plans_of,
    t1w,
    write_dataset,
    write_image,
    write_json,
)


def write_tsv(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding="utf-8")


def test_same_session_comes_first(tmp_path):
    root = write_dataset(tmp_path, t1w("a"), t1w("b"), t1w(), pet("b"))
    pairing = only_pairing(root)
    assert pairing.t1w.session == "b"
    assert (pairing.reason, pairing.day_gap) == ("same session", None)


def test_subject_without_sessions(tmp_path):
    pairing = only_pairing(write_dataset(tmp_path, t1w(), pet()))
    assert (pairing.reason, pairing.day_gap) == ("subject without sessions", None)


def test_nearest_session_in_days(tmp_path):
    root = write_dataset(tmp_path, t1w("d0129"), t1w("d3132"), pet("d0423", "_acq-FDG"))
    pairing = only_pairing(root)
    assert pairing.t1w.session == "d0129"
    assert (pairing.reason, pairing.day_gap) == ("nearest session", 294)


def test_a_gap_of_exactly_the_limit_is_accepted_and_one_more_is_not(tmp_path):
    root = write_dataset(tmp_path, t1w("d0100"), pet("d0465"))
    assert only_pairing(root).day_gap == 365
    (problem,) = only_plan(root, max_day_gap=364).problems
    assert problem.kind == "missing"
    for part in ("sub-01_ses-d0100_T1w", "365 days", "364", "--anat-session"):
        assert part in problem.message


def test_nearest_by_months(tmp_path):
    root = write_dataset(tmp_path, t1w("M000"), t1w("M024"), pet("M006"))
    pairing = only_pairing(root)
    assert (pairing.t1w.session, pairing.day_gap) == ("M000", 183)


def test_nearest_by_dates_of_sessions(tmp_path):
    root = write_dataset(tmp_path, t1w("a"), t1w("b"), pet("c"))
    write_tsv(
        root / "sub-01/sub-01_sessions.tsv",
        ("session_id", "acq_time"),
        ("ses-a", "2019-01-01"),
        ("ses-b", "2019-03-01T12:00:00"),
        ("ses-c", "2019-02-25T10:00:00.500000Z"),
    )
    pairing = only_pairing(root)
    assert (pairing.t1w.session, pairing.day_gap) == ("b", 4)


def test_dates_of_scans_outrank_day_labels(tmp_path):
    root = write_dataset(tmp_path, t1w("d0001"), t1w("d0100"), pet("d0010"))
    for session, file, date in (
        ("d0001", "anat/sub-01_ses-d0001_T1w.nii.gz", "1925-01-01"),
        ("d0100", "anat/sub-01_ses-d0100_T1w.nii.gz", "1925-06-01"),
        ("d0010", "pet/sub-01_ses-d0010_pet.nii.gz", "1925-06-03"),
    ):
        table = root / f"sub-01/ses-{session}/sub-01_ses-{session}_scans.tsv"
        write_tsv(table, ("filename", "acq_time"), (file, date))
    pairing = only_pairing(root)
    assert (pairing.t1w.session, pairing.day_gap) == ("d0100", 2)


def test_dates_of_scans_without_sessions_in_their_names(tmp_path):
    """A subject's own scans.tsv, and Clinica's column of dates in sessions.tsv."""
    root = write_dataset(tmp_path, t1w("a"), t1w("b"), pet("c"))
    write_tsv(
        root / "sub-01/sub-01_scans.tsv",
        ("filename", "acq_time"),
        ("ses-a/anat/sub-01_ses-a_T1w.nii.gz", "2019-01-01T08:30:00"),
        ("ses-c/pet/sub-01_ses-c_pet.nii.gz", "2019-01-02T07:00:00"),
    )
    write_tsv(
        root / "sub-01/sub-01_sessions.tsv",
        ("session_id", "examination_date"),
        ("ses-b", "2019-03-01"),
    )
    pairing = only_pairing(root)
    assert (pairing.t1w.session, pairing.day_gap) == ("a", 1)


def test_dates_outrank_months(tmp_path):
    """Visits of Clinica may lie far from the month they are named by."""
    root = write_dataset(tmp_path, t1w("M000"), t1w("M012"), pet("M006"))
    write_tsv(
        root / "sub-01/sub-01_sessions.tsv",
        ("session_id", "acq_time"),
        ("ses-M000", "2010-01-01"),
        ("ses-M006", "2010-09-01"),
        ("ses-M012", "2010-11-01"),
    )
    pairing = only_pairing(root)
    assert (pairing.t1w.session, pairing.day_gap) == ("M012", 61)


def test_months_beyond_the_limit(tmp_path):
    root = write_dataset(tmp_path, t1w("M000"), pet("M024"))
    (problem,) = only_plan(root).problems
    assert "731 days away (--max-day-gap 365)" in problem.message
    assert only_pairing(root, anat_session="M000").day_gap == 731
    assert only_pairing(root, max_day_gap=731).reason == "nearest session"


def test_a_subject_without_a_near_t1w_fails_and_the_others_go_on(tmp_path):
    root = write_dataset(
        tmp_path,
        t1w("d0000"),
        pet("d2000"),
        *(image(session, subject="02") for image, session in ((t1w, "d0000"), (pet, "d0300"))),
    )
    plans = plans_of(root)
    (problem,) = plans["01"].problems
    assert problem.message == (
        "the T1w nearest to sub-01_ses-d2000_pet.nii.gz is sub-01_ses-d0000_T1w.nii.gz,"
        " 2000 days away (--max-day-gap 365); raise it or name the session with --anat-session"
    )
    assert [pairing.day_gap for pairing in plans["02"].pairings] == [300]


def test_unusable_dates_count_as_none(tmp_path):
    root = write_dataset(tmp_path, t1w("a"), t1w("b"), pet("c"))
    table = root / "sub-01/sub-01_sessions.tsv"
    write_tsv(table, ("session_id", "acq_time"), ("ses-a", "n/a"), ("ses-b", "01/02/2019"))
    (problem,) = only_plan(root).problems
    assert "no dates to tell" in problem.message


def test_equally_near_sessions_are_chosen_the_same_every_time(tmp_path):
    root = write_dataset(tmp_path, t1w("d0020"), t1w("d0000"), pet("d0010"))
    assert only_pairing(root).t1w.session == "d0000"


def test_anat_session_overrides_all(tmp_path):
    root = write_dataset(tmp_path, t1w("d0100"), t1w("d3000"), pet("d0100"))
    pairing = only_pairing(root, anat_session="ses-d3000")
    assert (pairing.reason, pairing.day_gap) == ("session named by --anat-session", 2900)
    (problem,) = only_plan(root, anat_session="x").problems
    assert "has no T1w in ses-x" in problem.message


def test_without_dates_the_only_t1w_is_used_and_said(tmp_path):
    root = write_dataset(tmp_path, t1w("mr"), pet("pet"))
    pairing = only_pairing(root)
    assert (pairing.reason, pairing.day_gap) == (
        "only T1w of the subject, gap unknown",
        None,
    )


def test_without_dates_a_t1w_outside_the_sessions_is_used(tmp_path):
    root = write_dataset(tmp_path, t1w(), t1w("x"), pet("y"))
    pairing = only_pairing(root)
    assert pairing.t1w.session is None
    assert pairing.reason == "T1w outside the sessions, gap unknown"


def test_without_dates_several_sessions_are_not_guessed(tmp_path):
    root = write_dataset(tmp_path, t1w("a"), t1w("b"), pet("c"))
    plan = only_plan(root)
    assert not plan.pairings
    assert "--anat-session" in plan.problems[0].message


def test_days_between_scans_of_one_session_count(tmp_path):
    """A session label does not date a scan: here 397 days lie between its scans."""
    root = write_dataset(tmp_path, t1w("a"), pet("a"), t1w("b"))
    dates = [
        ("ses-a/anat/sub-01_ses-a_T1w.nii.gz", "2019-01-01"),
        ("ses-a/pet/sub-01_ses-a_pet.nii.gz", "2020-02-02"),
    ]
    table = root / "sub-01/sub-01_scans.tsv"
    write_tsv(table, ("filename", "acq_time"), *dates)
    (problem,) = only_plan(root).problems
    assert "sub-01_ses-a_T1w.nii.gz, 397 days away (--max-day-gap 365)" in problem.message
    pairing = only_pairing(root, max_day_gap=397)
    assert (pairing.reason, pairing.day_gap) == ("same session", 397)
    assert only_pairing(root, anat_session="a").day_gap == 397
    write_tsv(table, ("filename", "acq_time"), *dates,
              ("ses-b/anat/sub-01_ses-b_T1w.nii.gz", "2020-01-31"))  # fmt: skip
    pairing = only_pairing(root)
    assert (pairing.t1w.session, pairing.reason, pairing.day_gap) == ("b", "nearest session", 2)


def test_days_between_scans_without_sessions_count(tmp_path):
    root = write_dataset(tmp_path, t1w(rest="_run-1"), t1w(rest="_run-2"), pet())
    write_tsv(
        root / "sub-01/sub-01_scans.tsv",
        ("filename", "acq_time"),
        ("anat/sub-01_run-1_T1w.nii.gz", "2010-01-01T10:00:00"),
        ("anat/sub-01_run-2_T1w.nii.gz", "2019-01-01T10:00:00"),
        ("pet/sub-01_pet.nii.gz", "2019-01-08T09:00:00"),
    )
    pairing = only_pairing(root)
    assert (pairing.t1w.entities["run"], pairing.day_gap) == ("2", 7)


@pytest.mark.parametrize("session", ["a", "b"])
def test_an_unknown_gap_is_said_where_sessions_differ(tmp_path, session):
    root = write_dataset(tmp_path, t1w("a"), pet(session))
    assert only_pairing(root).reason.endswith(", gap unknown") == (session == "b")
    assert only_pairing(root, anat_session="a").reason.endswith(", gap unknown") == (session == "b")


@pytest.mark.parametrize(
    ("date", "noted"),
    [
        *(
            (text, True)
            for text in ("12/31/2019", "31.12.2019", "2019-13-01", "2019/12/31", "10:00")
        ),
        *((text, False) for text in ("2019-12-31", "20191231", "2019-12-31T10:00:00Z", "n/a", "")),
    ],
)
def test_dates_that_are_not_iso_are_noted(tmp_path, date, noted):
    root = write_dataset(tmp_path, t1w("a"), pet("b"))
    table = root / "sub-01/sub-01_sessions.tsv"
    write_tsv(table, ("session_id", "acq_time"), ("ses-a", date), ("ses-b", "2019-12-31"))
    notes = [note for note in only_plan(root).notes if "ISO" in note]
    assert (
        notes
        == [
            f"sub-01_sessions.tsv: acq_time {date!r} is not an ISO date such as 2024-12-31;"
            " it does not count"
        ]
        * noted
    )


def test_a_filter_overrides_the_choice(tmp_path):
    root = write_dataset(tmp_path, t1w("a", "_run-01"), t1w("a", "_run-02"), pet("a"))
    assert only_pairing(root, bids_filters={"t1w": {"run": 2}}).t1w.entities["run"] == "02"


def test_choice_among_several_t1w_of_the_nearest_session(tmp_path):
    root = write_dataset(tmp_path, pet("d0010"), t1w("d0900"))
    write_image(root / t1w("d0000", "_acq-SENSE_run-01"), voxel_size=0.8)
    write_image(root / t1w("d0000", "_run-02"), voxel_size=1.0)
    write_image(root / t1w("d0000", "_run-03"), voxel_size=1.0)
    pairing = only_pairing(root)
    assert pairing.t1w.entities["run"] == "02"
    assert pairing.reason == "nearest session; of 3 T1w the un-accelerated one, the first run"
    chosen = only_pairing(root, bids_filters={"t1w": {"acquisition": "SENSE"}})
    assert chosen.t1w.entities["run"] == "01"


def test_old_and_new_clinica_names(tmp_path):
    root = write_dataset(
        tmp_path,
        t1w("M00"),
        t1w("M000", subject="02"),
        pet("M00", "_task-rest_acq-fdg"),
        pet("M00", "_task-rest_acq-av45"),
        pet("M000", "_trc-18FFDG_rec-coregavg", "02"),
        pet("M000", "_trc-18FFDG_rec-coregiso", "02"),
        pet("M000", "_trc-18FAV45_rec-coregavg", "02"),
    )
    plans = plans_of(root)
    assert [len(plan.pairings) for plan in plans.values()] == [2, 3]
    reasons = {pairing.reason for plan in plans.values() for pairing in plan.pairings}
    assert reasons == {"same session"}
    assert not [problem for plan in plans.values() for problem in plan.problems]


def test_an_oasis_dataset_described_in_every_session(tmp_path):
    root = write_dataset(tmp_path, t1w("d0129", "_run-01"), pet("d0423", "_acq-AV45"))
    for session in ("d0129", "d0423"):
        description = {"Name": "OASIS-3", "BIDSVersion": "1.0.1"}
        write_json(root / f"sub-01/ses-{session}/dataset_description.json", description)
    pairing = only_pairing(root)
    assert (pairing.t1w.session, pairing.day_gap) == ("d0129", 294)


def test_several_pets_share_a_t1w(tmp_path):
    root = write_dataset(
        tmp_path,
        t1w("a"),
        pet("a", "_trc-FDG_run-01"),
        pet("a", "_trc-FDG_run-02"),
        pet("a", "_trc-PIB_rec-acdyn"),
        pet("a", "_trc-PIB_rec-acstat"),
    )
    plan = only_plan(root)
    assert len(plan.pairings) == 4
    assert len(plan.t1ws) == 1


def test_images_that_would_overwrite_each_other_are_refused(tmp_path):
    first = pet()
    root = write_dataset(tmp_path, t1w(), first, first.removesuffix(".gz"), sidecar=PET_SIDECAR)
    plan = only_plan(root)
    assert [pairing.image.path.name for pairing in plan.pairings] == ["sub-01_pet.nii"]
    assert "same names" in plan.problems[0].message


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (["_acq-dynamic", "_acq-static"], ["rec-dynamic", "rec-static"]),
        (["", "_acq-late"], ["", "rec-late"]),
        (["_acq-early_rec-ac", "_acq-late_rec-ac"], ["rec-acearly", "rec-aclate"]),
        (["_acq-FDG", "_acq-PIB"], ["", ""]),
        (["_acq-static"], [""]),
    ],
)
def test_acquisitions_of_pet_are_kept_apart(tmp_path, names, written):
    """BIDS allows no acq- in names of PET, and rec- in those of its derivatives."""
    metadata = {key: value for key, value in PET_SIDECAR.items() if key != "TracerName"}
    images = [pet(rest=name) for name in names]
    sidecar = metadata if "FDG" in names[0] else PET_SIDECAR
    root = write_dataset(tmp_path, t1w(), *images, sidecar=sidecar)
    plan = only_plan(root)
    assert not plan.problems
    paths = [OutputNames(pairing.image, pairing.modality)() for pairing in plan.pairings]
    assert len(set(paths)) == len(names)
    found = [" ".join(re.findall("rec-[A-Za-z]+", path)) for path in paths]
    assert sorted(found) == sorted(written)
    noted = [f"written with {name}," in " ".join(plan.notes) for name in written if name]
    assert all(noted)


def test_ct_and_flair_are_paired_when_asked_for(tmp_path):
    root = write_dataset(
        tmp_path,
        t1w("a"),
        "sub-01/ses-a/ct/sub-01_ses-a_ct.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz",
    )
    plan = only_plan(root, modalities=("pet", "ct", "flair"))
    assert [pairing.modality.name for pairing in plan.pairings] == ["ct", "flair"]
    assert not plan.problems
    assert "no PET image" in plan.expected
    (problem,) = only_plan(root).problems
    assert problem.message == "sub-01 has no PET image"


def test_images_without_the_contrast_they_are_to_be_fused_with(tmp_path):
    """One subject has a FLAIR, the other has none; the other is named and the first goes on."""
    images = [image(subject=label) for label in ("01", "02") for image in (t1w, pet)]
    root = write_dataset(tmp_path, *images, "sub-01/anat/sub-01_FLAIR.nii.gz")
    plans = plans_of(root, modalities=("pet", "flair"), anat_contrast="FLAIR")
    assert [pairing.modality.name for pairing in plans["01"].pairings] == ["pet", "flair"]
    assert not plans["01"].problems
    assert not plans["02"].pairings
    assert "has no FLAIR to be fused with" in plans["02"].problems[-1].message

"""What the guard sees when figures change, and what it does not mind."""

import copy

import numpy as np
import pytest
from profiles import LIMITS, SMALL_STEPS, best, compare, differing, failures, read_profile, table
from reference import Reference
from regression import PROFILE, passes, runs_table, step_cpu

from bids_app.step_record import MAIN, StepUsage

BEFORE = {
    "cpu": {
        "brain (ExtractBrain)": 6.0, "register (RegisterRigid)": 20.0, "a (A)": 0.05, "b (B)": 0.1,
    },
    "whole": {"whole run": 100.0},
    "memory": {"brain (ExtractBrain)": 1.3, "whole run": 1.6},
    "mm": {"PET→T1w, mean": 0.2, "PET→T1w, largest": 0.4},
    "overlap": {"T1w→template, GM": 0.2, "brain": 0.02},
    "higher": {"VIF of fused": 0.7},
    "lower": {"Nabf of fused": 0.02},
}  # fmt: skip


def changed(kind: str, name: str, factor: float) -> dict[str, dict[str, float]]:
    now = copy.deepcopy(BEFORE)
    now[kind][name] *= factor
    return now


@pytest.fixture(scope="module")
def stored() -> dict[str, dict[str, float]]:
    """The figures in the repository."""
    return read_profile(PROFILE)["demo pet"]["figures"]


def names_of(stored) -> list[tuple[str, str]]:
    return [(row.kind, row.name) for row in compare(stored, stored)]


def test_nothing_fails_that_is_as_it_was():
    rows = compare(BEFORE, BEFORE)
    assert failures(rows) == []
    assert {row.verdict for row in rows} == {""}


def test_of_the_stored_figures_each_is_seen_when_it_doubles(stored):
    """Every step that is named, its memory, and every error; scores when they are halved."""
    for kind, name in names_of(stored):
        now = {key: dict(values) for key, values in stored.items()}
        if name == SMALL_STEPS:
            small = set(now["cpu"]) - {name for kind, name in names_of(stored) if kind == "cpu"}
            now["cpu"] |= {step: 2 * now["cpu"][step] for step in small}
        else:
            now[kind][name] *= 0.5 if LIMITS[kind].higher_is_better else 2
        seen = [(row.kind, row.name) for row in failures(compare(stored, now))]
        assert (kind, name) in seen
        # of small steps, some are large when they double, and are named
        assert len(seen) == 1 or name == SMALL_STEPS


def test_noise_fails_nothing(stored):
    """Of the CPU times of steps, more than repeated runs differed; see benchmarks/README.md."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        now = {
            kind: {name: value * rng.uniform(0.8, 1.25) for name, value in values.items()}
            if kind in ("cpu", "whole")
            else values
            for kind, values in stored.items()
        }
        assert failures(compare(stored, now)) == []


@pytest.mark.parametrize(
    ("kind", "name", "factor"),
    [
        ("cpu", "register (RegisterRigid)", 2.0),
        ("cpu", "a (A)", 20.0),
        ("whole", "whole run", 1.4),
        ("memory", "whole run", 1.5),
        ("mm", "PET→T1w, mean", 2.0),
        ("overlap", "brain", 1.3),
        ("higher", "VIF of fused", 0.9),
        ("lower", "Nabf of fused", 1.5),
        ("mm", "PET→T1w, largest", np.nan),
        ("higher", "VIF of fused", np.nan),
    ],
)
def test_what_got_worse_is_named(kind, name, factor):
    rows = compare(BEFORE, changed(kind, name, factor))
    (row,) = failures(rows)
    assert (row.kind, row.name, row.verdict) == (kind, name, "worse")
    assert row.before != row.now
    (line,) = [line for line in table(rows).splitlines() if "worse" in line]
    assert name in line
    assert np.isnan(factor) or f"| {row.ratio:.2f} |" in line


def test_what_got_better_is_said_and_passes():
    rows = compare(BEFORE, changed("cpu", "register (RegisterRigid)", 0.4))
    assert failures(rows) == []
    assert [row.name for row in rows if row.verdict == "better"] == ["register (RegisterRigid)"]


def test_a_step_may_come_and_go_but_no_accuracy():
    now = copy.deepcopy(BEFORE)
    now["cpu"]["new (New)"] = now["cpu"].pop("brain (ExtractBrain)")
    assert failures(compare(BEFORE, now)) == []
    assert {row.verdict for row in compare(BEFORE, now)} == {"", "new", "gone"}
    del now["mm"]["PET→T1w, mean"]
    (row,) = failures(compare(BEFORE, now))
    assert (row.name, row.verdict) == ("PET→T1w, mean", "gone")


def test_small_steps_are_judged_by_their_sum():
    now = copy.deepcopy(BEFORE)
    now["cpu"] |= {f"{number} (Small)": 0.15 for number in range(10)}
    (row,) = failures(compare(BEFORE, now))
    assert row.name == SMALL_STEPS
    assert row.before == pytest.approx(0.15)
    assert row.now == pytest.approx(1.65)


def test_of_repeated_runs_cost_is_the_least_and_accuracy_the_worst():
    dearer = changed("cpu", "register (RegisterRigid)", 1.5)
    worse = changed("mm", "PET→T1w, mean", 1.5)
    lower = changed("higher", "VIF of fused", 0.5)
    found = best([BEFORE, dearer, worse, lower])
    assert found["cpu"] == BEFORE["cpu"]
    assert found["mm"]["PET→T1w, mean"] == pytest.approx(0.3)
    assert found["higher"]["VIF of fused"] == pytest.approx(0.35)
    assert differing([BEFORE, dearer], 1) == ["register (RegisterRigid)"]


def test_cpu_time_is_counted_in_references():
    steps = [
        StepUsage("sub-01", "pet.register", "RegisterRigid", 10.0, 11.0, 0.5),
        StepUsage("sub-01", MAIN, "", 2.0, 3.0, None),
        StepUsage("sub-01", MAIN, "", 3.0, 3.0, None),
    ]
    assert step_cpu(steps, [5.0, 5.0, 2.0]) == {
        "pet.register (RegisterRigid)": 2.0, "main process": 1.9,
    }  # fmt: skip


def test_a_tampered_profile_fails_the_guard_and_names_the_step(stored, capsys):
    assert passes({"figures": stored}, stored)
    assert "worse" not in capsys.readouterr().out
    (step, _) = max(stored["cpu"].items(), key=lambda item: item[1])
    tampered = {**stored, "cpu": {**stored["cpu"], step: stored["cpu"][step] / 2}}
    assert not passes({"figures": tampered}, stored)
    said = capsys.readouterr().out
    assert f"worse: CPU time, references: {step}\n" in said
    before, now = stored["cpu"][step] / 2, stored["cpu"][step]
    assert f"| {step} | {before:.2f} | {now:.2f} | 2.00 | worse |" in said


def test_without_stored_figures_nothing_passes(stored, capsys):
    assert not passes(None, stored)
    assert "--update" in capsys.readouterr().out


def test_runs_are_shown_side_by_side():
    runs = [
        {
            "figures": figures,
            "step_cpu_s": {name: 2 * value for name, value in figures["cpu"].items()},
            "cpu_s": 100.0,
            "reference_cpu_s": [2.0, 2.5, 1.5],
        }
        for figures in (BEFORE, changed("cpu", "register (RegisterRigid)", 1.5))
    ]
    shown = runs_table(runs)
    assert "| reference, CPU s, smallest to largest | 1.50 to 2.50 | 1.50 to 2.50 |" in shown
    assert "| register (RegisterRigid), CPU s | 40.00 | 60.00 |" in shown
    assert "| register (RegisterRigid), references | 20.00 | 30.00 |" in shown


def test_a_step_is_compared_with_what_the_machine_could_do_then():
    """A machine that gets twice as slow midway: steps before and after it cost the same."""
    reference = Reference()
    reference.at = [float(moment) for moment in range(0, 100, 5)]
    reference.cpu_s = [1.0 if moment < 50 else 2.0 for moment in reference.at]
    assert reference.between(10, 30) == pytest.approx(1.0)
    assert reference.between(70, 90) == pytest.approx(2.0)
    assert reference.between(0, 95) == pytest.approx(1.5, abs=0.05)
    assert reference.between(200, 300) == pytest.approx(2.0)
    # a single outlier is not what the machine could do
    reference.cpu_s[4] = 9.0
    assert reference.between(15, 25) == pytest.approx(1.0)

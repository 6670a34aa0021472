"""Many damaged subjects in one dataset: each attack costs its own image, and a run names it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.app.runs import Run
from tests.bids.skeleton import PET_SIDECAR, pet, t1w, write_dataset
from tests.faults.attacks import Attack, Scene, attempt, stands

SOUND = "sound"
"""Label of a subject that nothing is wrong with."""


@dataclass(frozen=True)
class Subject:
    """Files of a subject that an attack may damage.

    Attributes
    ----------
    bids
        Root of the dataset.
    label
        Without ``sub-``.
    """

    bids: Path
    label: str

    @property
    def pet(self) -> Path:
        return self.bids / pet(subject=self.label)

    @property
    def t1w(self) -> Path:
        return self.bids / t1w(subject=self.label)

    @property
    def sidecar(self) -> Path:
        return self.pet.with_name(self.pet.name.replace(".nii.gz", ".json"))

    @property
    def folder(self) -> Path:
        return self.bids / f"sub-{self.label}"


@dataclass(frozen=True)
class Damage:
    """What is wrong with a subject.

    Attributes
    ----------
    what
        The attack in a phrase.
    apply
        Damages the subject's files.
    says
        Regular expression that what a dry run says of the subject must match.
    """

    what: str
    apply: Callable[[Subject], object]
    says: str


def label_of(attack: str) -> str:
    """A participant label made from an attack's id."""
    return re.sub("[^a-z0-9]", "", attack)


def dry_run(folder: Path, damages: Mapping[str, Damage]) -> dict[str, str]:
    """What a dry run says of each subject, by label, all attacks being in one dataset.

    The run itself has to stand them: no traceback, exit code 0, the sound subject is processed.
    """
    labels = [SOUND, *map(label_of, damages)]
    assert len(set(labels)) == len(labels)
    images = [image(subject=label) for label in labels for image in (t1w, pet)]
    bids = write_dataset(folder / "bids", *images, sidecar=PET_SIDECAR)
    for name, damage in damages.items():
        damage.apply(Subject(bids, label_of(name)))
    run = attempt(Scene(bids, folder / "out", folder / "work"), "--dry-run")
    ends(run)
    told = by_subject(run)
    assert f"with sub-{SOUND}/anat" in told[SOUND]
    assert "skipped" not in told[SOUND]
    return told


def ends(run: Run, says: str = "", *codes: int) -> None:
    """Assert that a command has stood whatever was done to it, and how it ended."""
    stands(run, Attack("", lambda _: [], codes or (0,), says))


def by_subject(run: Run) -> dict[str, str]:
    """The blocks of a dry run by participant label."""
    blocks = re.split(r"\n\n", run.stdout)
    return {block.split("\n", 1)[0].split(":")[0].removeprefix("sub-"): block for block in blocks}

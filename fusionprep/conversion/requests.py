"""What converters are asked for, and what they answer."""

from dataclasses import dataclass, field
from pathlib import Path

from fusionprep.conversion.dataset import Origin, Scan, Subject, add_subject, label_of
from fusionprep.errors import UsageError
from fusionprep.plausibility import BODY_WEIGHT


@dataclass(frozen=True)
class Target:
    """Where a subject goes, and what is known of the person.

    Attributes
    ----------
    out
        Root of the dataset.
    subject, session
        Labels; None for a subject that the converter names, and for no session.
    weight
        Body weight, kg.
    overwrite
        Replace what is there.
    authors
        Of the dataset, where it is made.
    """

    out: Path
    subject: str | None = None
    session: str | None = None
    weight: float | None = None
    overwrite: bool = False
    authors: tuple[str, ...] = ()

    def person(self) -> dict[str, str]:
        """Cells of ``participants.tsv``.

        Raises
        ------
        UsageError
            When the weight cannot be.
        """
        if self.weight is None:
            return {}
        if problem := BODY_WEIGHT.problem(self.weight):
            raise UsageError(f"--weight: {problem}")
        return {"weight": f"{self.weight:g}"}

    def add(self, scans: tuple[Scan, ...], origin: Origin, notes: list[str]) -> "Outcome":
        """Write scans as the subject; raises as :func:`add_subject` and :func:`label_of`."""
        subject = Subject(
            label_of(self.subject or "", "--subject"),
            scans,
            self.session and label_of(self.session, "--session"),
            self.person(),
        )
        add_subject(self.out, subject, origin.by(self.authors), overwrite=self.overwrite)
        return Outcome(self.out / subject.folder, notes)


@dataclass(frozen=True)
class Outcome:
    """What was written, and what is to be said of it."""

    folder: Path
    notes: list[str] = field(default_factory=list)

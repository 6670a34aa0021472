"""What the terminal says of images beside failures: what was assumed, corrected, or is doubtful."""

import sys
from collections.abc import Iterator, Sequence

from fusionprep.bids.names import JUDGED, NOTES
from fusionprep.bids.types import SubjectPlan
from fusionprep.config import Config
from fusionprep.reports.records import SubjectRecord, read_subject

NOT_COMPUTED = {"SUV": "SUVNotComputed", "SUVR": "SUVRNotComputed"}


def tell_plans(plans: Sequence[SubjectPlan]) -> None:
    """Say what is known of the images of every subject before any is processed."""
    for plan in plans:
        for note in plan.notes:
            print(f"note: sub-{plan.label}: {note}", file=sys.stderr)


def tell_results(config: Config, plans: Sequence[SubjectPlan]) -> None:
    """Say what processing found, of images that have to be looked at above all."""
    for plan in plans:
        said = "\n".join(plan.notes)
        for remark in remarks(read_subject(config.output_dir, plan.label)):
            if remark.split(": ", 1)[1] not in said:
                print(f"warning: sub-{plan.label}: {remark}", file=sys.stderr)


def remarks(record: SubjectRecord) -> Iterator[str]:
    """A line for each remark on an image of a subject, after what the image is."""
    images = [(" ".join(["T1w", t1w.session or ""]).strip(), t1w) for t1w in record.anatomies()]
    images += [(scan.label, scan.native) for scan in record.scans() if scan.native is not None]
    for label, image in images:
        notes = image.get(NOTES)
        for note in notes if isinstance(notes, list) else []:
            yield f"{label}: {note}"
        for quantity, field in NOT_COMPUTED.items():
            if reason := image.get(field):
                yield f"{label}: no {quantity}: {reason}"
        for field in JUDGED:
            if image.get(field, "Verdict") in ("review", "fail"):
                reason = image.get(field, "VerdictReason") or "no reason is recorded"
                yield f"{label}: {image.get(field, 'Verdict')}: {reason}"

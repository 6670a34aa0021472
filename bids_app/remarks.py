"""What the terminal says of images beside failures: what was assumed, corrected, or is doubtful."""

import sys
from collections.abc import Iterator, Sequence

from fusionprep.bids.names import JUDGED, NOT_COMPUTED, SUVR
from fusionprep.bids.types import SubjectPlan
from fusionprep.config import Config
from fusionprep.errors import one_line
from fusionprep.reports.records import SubjectRecord, notes_of, read_subject


def tell_plans(plans: Sequence[SubjectPlan]) -> None:
    """Say what is known of the images of every subject before any is processed."""
    for plan in plans:
        for note in plan.notes:
            print(f"note: sub-{plan.label}: {note}", file=sys.stderr)


def tell_results(config: Config, plans: Sequence[SubjectPlan]) -> None:
    """Say what processing found, of images that have to be looked at above all."""
    for plan in plans:
        said = "\n".join(plan.notes)
        for label, remark in remarks(read_subject(config.output_dir, plan.label)):
            if remark not in said:
                line = one_line(f"sub-{plan.label}: {label}: {remark}")
                print(f"warning: {line}", file=sys.stderr)


def remarks(record: SubjectRecord) -> Iterator[tuple[str, str]]:
    """Each remark on an image of a subject, after what the image is."""
    images = [(" ".join(["T1w", t1w.session or ""]).strip(), t1w) for t1w in record.anatomies()]
    images += [(scan.label, scan.native) for scan in record.scans() if scan.native is not None]
    for label, image in images:
        yield from ((label, note) for note in notes_of(image))
        for quantity, field in NOT_COMPUTED.items():
            if reason := image.get(field):
                yield label, f"no {quantity.upper()}: {reason}"
        for field in JUDGED:
            if image.get(field, "Verdict") in ("review", "fail"):
                reason = image.get(field, "VerdictReason") or "no reason is recorded"
                yield label, f"{image.get(field, 'Verdict')}: {reason}"
    in_templates = [t1w for t1w in record.t1ws() if "space" in t1w.entities]
    # the same is said of each resolution
    told = dict.fromkeys((t1w.session, note) for t1w in in_templates for note in notes_of(t1w))
    yield from ((" ".join(filter(None, ["T1w", session])), note) for session, note in told)
    for scan in record.scans():
        suvr = scan.variants.get(SUVR)
        if suvr is not None and (doubt := suvr.get("SUVR", "RegionDoubt")):
            yield scan.label, f"the reference region of SUVR may lie elsewhere: {doubt}"

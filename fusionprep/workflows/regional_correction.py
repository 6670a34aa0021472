"""Regions of an atlas corrected for partial volume, beside what is not corrected."""

from collections.abc import Mapping, Sequence
from typing import Any

from nipype.pipeline import engine as pe

from fusionprep.bids.types import PETFacts
from fusionprep.image.partial_volume.regional import REACH_MM
from fusionprep.interfaces.regional_correction import GTM, CorrectRegions
from fusionprep.workflows.coregistration import Branch
from fusionprep.workflows.nodes import Port, node
from fusionprep.workflows.partial_volume import hand_brain_over
from fusionprep.workflows.suvr import has_suvr

TRANSFER = f"""
Regional means were corrected by the geometric transfer matrix [@gtm] of all regions, each of its
tissue and that up to {REACH_MM:g} mm around it, of the rest of each tissue and of what is outside
the brain.
"""


def correct_regions(
    branch: Branch,
    facts: PETFacts,
    inputs: Mapping[str, Any],
    ports: Mapping[str, Port],
    correct: pe.Node,
    name: str,
) -> pe.Node:
    """A node that corrects the regions of an atlas.

    Parameters
    ----------
    inputs
        Of :class:`~fusionprep.interfaces.regional_correction.CorrectRegions`: what is known of the
        atlas and of the frames.
    ports
        What hands over further inputs: the labels, their table, ``suv_factor``.
    correct
        Of the images.
    """
    config = branch.config
    methods = config.processing.corrections
    interface = CorrectRegions(methods=list(methods), **inputs)
    found = node(interface, name, config, on=[branch.pairing.t1w])
    with_suvr = has_suvr(config.processing, facts)
    hand_brain_over(branch, facts, found, with_suvr)
    for field, port in ports.items():
        branch.connect(port, found, field)
    for method in methods:
        if method != GTM:
            branch.connect((correct, f"out_{method}"), found, f"image_{method}")
            if with_suvr:
                branch.connect((correct, f"factor_{method}"), found, f"factor_{method}")
    return found


def describe_regional_correction(methods: Sequence[str]) -> str:
    """A sentence for the methods text; empty where regions have no correction of their own."""
    return TRANSFER.lstrip() if GTM in methods else ""

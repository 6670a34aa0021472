"""How well every input tells the classes apart, and by how much inputs differ."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fusionprep.choices import Device
from fusionprep.classification.cohort import Cohort, Source, read_cohort
from fusionprep.classification.folds import assign_folds, permuted_labels
from fusionprep.classification.inputs import TABLES, parse_input
from fusionprep.classification.kernels import (
    Features,
    JoinedFeatures,
    TableFeatures,
    VoxelFeatures,
    check_alike,
)
from fusionprep.classification.linear_models import LINEAR_MODELS
from fusionprep.classification.nested import Design, Predictions, cross_validate, permutation_p
from fusionprep.classification.networks.nested import cross_validate_network, require_packages
from fusionprep.classification.networks.trained import channels_of
from fusionprep.classification.occlusion import NetworkOcclusion, linear_occlusion
from fusionprep.classification.people import Classes, classes_of, groups_of, read_people
from fusionprep.devices import resolve_device
from fusionprep.errors import DataError, UsageError
from fusionprep.evaluation.roc import Area, Difference, area_difference, macro_area

if TYPE_CHECKING:
    from fusionprep.classification.networks.loop import Training


@dataclass(frozen=True)
class Plan:
    """What is evaluated.

    Attributes
    ----------
    target
        Column of the table of participants.
    wanted
        Values of it that are classes, in order; all when empty.
    group
        Column whose groups stay in one fold; none when empty.
    models
        Names of models.
    folds, permutations, seed
        Folds of the cross-validation, permutations of the test, and what both are drawn by.
    epochs, device
        Of networks: epochs at most, and what they are trained on.
    """

    target: str
    wanted: tuple[str, ...] = ()
    group: str = ""
    models: tuple[str, ...] = ("ridge",)
    folds: int = 5
    permutations: int = 1000
    seed: int = 0
    epochs: int = 60
    device: Device = "auto"


@dataclass(frozen=True)
class Entry:
    """One model on one input.

    Attributes
    ----------
    p
        Of the permutation test; None where there was none, as for networks, which would have to be
        trained again a thousand times.
    maps
        Occlusion maps (X, Y, Z) of the kinds of image in the input, see
        :mod:`fusionprep.classification.occlusion`.
    """

    input: str
    model: str
    predictions: Predictions
    area: Area
    p: float | None
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Input and model."""
        return f"{self.input}, {self.model}"


@dataclass(frozen=True)
class Evaluation:
    """All that is reported."""

    source: Source
    plan: Plan
    cohort: Cohort
    classes: Classes
    design: Design
    entries: tuple[Entry, ...]

    def differences(self) -> Iterator[tuple[Entry, Entry, Difference]]:
        """Of every two inputs by one model, and of every two models on one input."""
        for one, other in itertools.combinations(self.entries, 2):
            if one.model == other.model or one.input == other.input:
                yield one, other, area_difference(one.area, other.area, self.plan.folds)


def design_for(
    cohort: Cohort, classes: Classes, plan: Plan, people: Mapping[str, Mapping[str, str]]
) -> tuple[Design, np.ndarray]:
    """Folds of a cohort, and the strata (subjects,) within which labels may be permuted.

    Parameters
    ----------
    people
        The table of participants, for their groups.

    Raises
    ------
    DataError
        When there are too few subjects, or one has no group.
    """
    labels = np.array([classes.of[subject] for subject in cohort.subjects])
    counts = np.bincount(labels, minlength=len(classes.names))
    if counts.min() < 2 * plan.folds:
        name = classes.names[int(np.argmin(counts))]
        raise DataError(
            f"{name} has {counts.min()} subjects; {plan.folds} folds need {2 * plan.folds} of each "
            "class: use fewer --folds"
        )
    groups = None
    if plan.group:
        of = groups_of(people, plan.group)
        if missing := [subject for subject in cohort.subjects if subject not in of]:
            raise DataError(f"{missing[0]} has no {plan.group}; fill it in, or leave out --group")
        groups = np.array([of[subject] for subject in cohort.subjects])
    folds = assign_folds(labels, plan.folds, plan.seed, groups)
    return Design(cohort.member, labels, folds), folds if groups is None else groups


def linear_features(cohort: Cohort, inputs: Sequence[str]) -> dict[str, Features]:
    """Features of inputs; the Gram matrix of each kind of image is computed once.

    Raises
    ------
    DataError
        When images of two subjects are almost the same.
    """
    parts: dict[str, Features] = {}
    for kind in cohort.images:
        voxels = VoxelFeatures.of(cohort.voxels(kind))
        check_alike(voxels, [f"{kind} of {scan}" for scan in cohort.scans], cohort.member)
        parts[kind] = voxels
    parts |= {kind: TableFeatures(values) for kind, (values, _) in cohort.tables.items()}
    joined: dict[str, Features] = {}
    for text in inputs:
        names = parse_input(text)
        several = len(names) > 1
        joined[text] = (
            JoinedFeatures(tuple(parts[n] for n in names)) if several else parts[names[0]]
        )
    return joined


def evaluate(source: Source, plan: Plan, tell: Callable[[str], None] = print) -> Evaluation:
    """Cross-validate every model on every input.

    Networks read images only; they are not asked about tables.

    Parameters
    ----------
    tell
        Called with a line when an input is done.
    """
    if not set(plan.models) <= set(LINEAR_MODELS):
        require_packages()
    people = read_people(source.participants)
    classes = classes_of(people, plan.target, plan.wanted)
    cohort = read_cohort(source, classes)
    design, strata = design_for(cohort, classes, plan, people)
    features = linear_features(cohort, source.inputs)
    permuted = permuted_labels(design.labels, strata, plan.permutations, plan.seed)
    entries = []
    for model, text in itertools.product(plan.models, source.inputs):
        p = None
        if model in LINEAR_MODELS:
            found = _linear(cohort, features[text], text, model, design)
            if plan.permutations:
                p = permutation_p(features[text], model, design, permuted)
        elif set(parse_input(text)) & set(TABLES):
            continue
        else:
            found = _network(cohort, text, model, design, plan)
        predictions, maps = found
        area = macro_area(predictions.scores, design.labels, design.folds)
        entries.append(Entry(text, model, predictions, area, p, maps))
        tell(f"{text}, {model}: AUC {area.value:.3f}")
    if not entries:
        raise UsageError("networks read images, not tables; name an image among --inputs")
    return Evaluation(source, plan, cohort, classes, design, tuple(entries))


def _linear(
    cohort: Cohort, features: Features, text: str, model: str, design: Design
) -> tuple[Predictions, Mapping[str, np.ndarray]]:
    predictions = cross_validate(features, model, design)
    return predictions, linear_occlusion(cohort, features, text, model, design, predictions)


def _network(
    cohort: Cohort, text: str, model: str, design: Design, plan: Plan
) -> tuple[Predictions, Mapping[str, np.ndarray]]:
    if cohort.grid is None:
        raise ValueError("no images were read")
    mask, training = cohort.grid.mask, training_of(plan)
    volumes = channels_of(cohort, text)
    watch = NetworkOcclusion(text, volumes, mask, design, training)
    predictions = cross_validate_network(model, volumes, mask, design, training, watch)
    return predictions, watch.found.maps(mask)


def training_of(plan: Plan) -> "Training":
    """How networks are trained by a plan."""
    from fusionprep.classification.networks.loop import Training

    return Training(epochs=plan.epochs, seed=plan.seed, device=resolve_device(plan.device))

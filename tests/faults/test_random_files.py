"""Random content of the files that are read: whatever it is, it is read, or refused in one way."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusionprep.bids.contents import (
    has_contrast_agent,
    is_accelerated,
    is_dark_fluid,
    is_other_sequence,
    lacks_attenuation_correction,
    shows_no_activity,
    t1w_doubts,
)
from fusionprep.bids.dates import read_dates
from fusionprep.bids.participants import participant_age
from fusionprep.bids.pet_facts import pet_facts
from fusionprep.bids.sidecars import read_metadata, still_true
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config
from fusionprep.config_file import read_options
from fusionprep.errors import DataError, FusionPrepError, UnreadableFileError
from fusionprep.files import json_text
from fusionprep.reading import read_json, read_table
from tests.bids.skeleton import PET_SIDECAR, pet, write_dataset

FIELDS = (
    *PET_SIDECAR,
    *("Unit", "PatientWeight", "BodyWeight", "PatientAge", "PatientSex", "Radiopharmaceutical"),
    *("Tracer", "SeriesDescription", "ProtocolName", "ImageType", "CorrectedImage", "Modality"),
    *("AttenuationCorrection", "AttenuationCorrectionMethod", "DecayCorrectionFactor"),
    *("BodyPartExamined", "ContrastBolusAgent", "InversionTime", "AcquisitionTime", "Time"),
    *(
        "InjectionEnd",
        "InfusionStart",
        "SpecificRadioactivity",
        "DecayFactor",
        "FrameReferenceTime",
    ),
    *("InjectedRadioactivityUnits", "AcquisitionDateTime", "ScanDate", "ModeOfAdministration"),
)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(min_value=-(10**290), max_value=10**290),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0, 1, -1, 600, 1800, 1e308, -1e308, 5e-324]),
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["Bq/mL", "MBq", "kg", "70 kg", "10:00:00", "25:61:61", "F18", "18F", "FDG", "n/a", "NaN",
         "1e999", "inf", "0x10", "1_000", "038Y", "START", "ADMIN", "none", "true", "\x00", "%s"]
    ),
    st.from_regex(r"-?[0-9]{1,4}[.:,eE/-]?[0-9]{0,4}[ ]?[a-zA-Z/]{0,5}", fullmatch=True),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
TIMES = st.lists(NUMBERS, max_size=4)
SIDECARS = st.dictionaries(st.sampled_from(FIELDS), st.one_of(VALUES, TIMES), max_size=10).map(
    lambda fields: PET_SIDECAR | fields
)
TABLES = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(
        st.lists(st.one_of(TEXTS, NUMBERS.map(str)), min_size=1, max_size=5), min_size=1, max_size=5
    ).map(
        lambda rows: "\n".join(
            ["participant_id\tweight\tage\tacq_time\tfilename\tweight_units"]
            + ["\t".join(["sub-01", *row]) for row in rows]
        ).encode("utf-8", "replace")
    ),
)
OPTIONS = (
    "participant_label", "models", "nprocs", "mem_gb", "random_seed", "bids_filters",
    "output_spaces", "selection", "processing", "fusion", "execution", "weights", "max_day_gap",
    "suvr_region", "bids_dir", "sloppy", "colour_map",
)  # fmt: skip
TOML = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda content: content.decode("latin-1")),
    st.dictionaries(
        st.sampled_from(OPTIONS),
        st.one_of(
            st.integers(), st.booleans(), TEXTS, st.lists(TEXTS, max_size=3), st.none(),
            st.dictionaries(st.sampled_from(OPTIONS), st.one_of(TEXTS, st.integers()), max_size=3),
        ),
        max_size=5,
    ).map(lambda values: "\n".join(f"{key} = {_toml(value)}" for key, value in values.items())),
)  # fmt: skip
QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
THOROUGH = settings(QUICK, max_examples=1500, derandomize=False)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return "1979-05-27T07:32:00Z" if value is None else json.dumps(value)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("random") / "bids", pet())


def check_sidecar(dataset: Path, fields: dict, frames: int) -> None:
    image = dataset / pet()
    image.with_name("sub-01_pet.json").write_text(json.dumps(fields), "utf-8")
    try:
        metadata = read_metadata(image, dataset)
    except DataError:
        return
    shape = (4, 4, 4) if frames == 1 else (4, 4, 4, frames)
    found = ImageFile(image, {"sub": "01"}, "pet", metadata, shape, (2.0, 2.0, 2.0))
    for ask in (
        has_contrast_agent, is_accelerated, is_dark_fluid, is_other_sequence,
        lacks_attenuation_correction, shows_no_activity, t1w_doubts,
    ):  # fmt: skip
        ask(found)
    try:
        facts = pet_facts(found, dataset)
    except DataError:
        return
    written = still_true(metadata) | facts.changed | facts.tracer_fields()
    text = json_text({**written, "Notes": facts.notes, "SUV": facts.suv and facts.suv.to_dict()})
    json.loads(text.encode(), parse_constant=pytest.fail)


def check_table(dataset: Path, content: bytes) -> None:
    for name in ("participants.tsv", "sub-01/sub-01_scans.tsv", "sub-01/sub-01_sessions.tsv"):
        (dataset / name).write_bytes(content)
    with suppress(UnreadableFileError):
        read_table(dataset / "participants.tsv")
    read_dates(dataset, "01")
    participant_age(dataset, "01")
    image = dataset / pet()
    facts = pet_facts(ImageFile(image, {"sub": "01"}, "pet", PET_SIDECAR, (4, 4, 4)), dataset)
    assert facts.suv is None or facts.suv.factor > 0


def check_toml(folder: Path, text: str) -> None:
    path = folder / "options.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    folders = {name: folder / name for name in ("bids_dir", "output_dir", "work_dir")}
    with suppress(FusionPrepError):
        Config.from_options(**{**read_options(path), **folders})


def check_bytes(folder: Path, content: bytes) -> None:
    path = folder / "any"
    path.write_bytes(content)
    for read in (read_json, read_table):
        with suppress(UnreadableFileError):
            read(path)


@QUICK
@given(fields=SIDECARS, frames=st.sampled_from([1, 1, 2, 3]))
def test_sidecars(dataset, fields, frames):
    check_sidecar(dataset, fields, frames)


@QUICK
@given(content=TABLES)
def test_tables(dataset, content):
    check_table(dataset, content)


@QUICK
@given(text=TOML)
def test_configurations(dataset, text):
    check_toml(dataset, text)


@QUICK
@given(content=st.binary(max_size=400))
def test_bytes(dataset, content):
    check_bytes(dataset, content)


@pytest.mark.slow
@THOROUGH
@given(fields=SIDECARS, frames=st.sampled_from([1, 1, 2, 3]))
def test_many_sidecars(dataset, fields, frames):
    check_sidecar(dataset, fields, frames)


@pytest.mark.slow
@THOROUGH
@given(content=TABLES)
def test_many_tables(dataset, content):
    check_table(dataset, content)


@pytest.mark.slow
@THOROUGH
@given(text=TOML)
def test_many_configurations(dataset, text):
    check_toml(dataset, text)

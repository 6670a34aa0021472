"""Make a BIDS dataset and the options of fusionapp out of Brainlife's ``config.json``.

Reads ``./config.json``; writes ``./bids`` and ``./options.txt``, one word of the command line in
each line. What is wrong with the configuration goes to stderr and ``./product.json``.
"""

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fusionprep.bids.names import BIDS
from fusionprep.errors import UnreadableFileError
from fusionprep.files import json_text
from fusionprep.modalities import APP_MODALITIES, CT, MOVED, T1W, Modality
from fusionprep.reading import read_json_object

IMAGES = {modality.short_name: modality for modality in APP_MODALITIES}
"""Brainlife's name of each modality."""

PARAMETERS = {
    "model": "--fusion-model",
    "output_spaces": "--output-spaces",
    "tracer": "--tracer-label",
    "anat_contrast": "--anat-contrast",
    "frames": "--frames",
    "suvr_region": "--suvr-region",
    "atlas": "--atlas",
    "pvc": "--pvc",
    "psf": "--psf",
    "hmc": "--hmc",
    "keep_frames": "--keep-frames",
    "target_resolution": "--target-resolution",
    "smooth": "--smooth",
    "pet2anat_method": "--pet2anat-method",
    "registration_backend": "--registration-backend",
    "skull_strip_t1w": "--skull-strip-t1w",
    "denoise_t1w": "--denoise-t1w",
    "planes": "--planes",
    "colour_map": "--colour-map",
    "max_day_gap": "--max-day-gap",
    "random_seed": "--random-seed",
    "device": "--device",
    "nprocs": "--nprocs",
    "mem": "--mem",
    "sloppy": "--sloppy",
}
OF_SEVERAL_WORDS = ("output_spaces", "atlas", "pvc")
SUFFIXES = (".nii.gz", ".nii")
USAGE = 64


class ConfigError(Exception):
    """Something in ``config.json`` cannot be used; the message is for the user."""


@dataclass(frozen=True)
class Image:
    """An image that was given, and what Brainlife knows about it.

    Attributes
    ----------
    key
        Its name in ``config.json``, one of :data:`IMAGES`.
    session
        Label without prefix; empty where the image belongs to no session.
    metadata
        BIDS fields for the sidecar.
    """

    key: str
    path: Path
    subject: str
    session: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def modality(self) -> Modality:
        """What it is."""
        return IMAGES[self.key]

    def target(self, root: Path) -> Path:
        """Where it goes in a dataset at ``root``."""
        bids = BIDS[self.modality]
        extension = next(end for end in SUFFIXES if self.path.name.endswith(end))
        parts = [f"sub-{self.subject}", *([f"ses-{self.session}"] if self.session else [])]
        name = f"{'_'.join([*parts, bids.suffix])}{extension}"
        return root.joinpath(*parts, bids.datatype, name)


def read_config(path: Path) -> dict[str, Any]:
    """Read the configuration.

    Raises
    ------
    ConfigError
        When it is missing or is not a JSON object.
    """
    try:
        return read_json_object(path)
    except UnreadableFileError as error:
        raise ConfigError(f"cannot be read: {error.reason}") from error


def find_images(config: Mapping[str, Any]) -> list[Image]:
    """The images that are named, of one subject.

    Raises
    ------
    ConfigError
        When the T1w, or everything but the T1w, is missing, a file does not exist, or the images
        are of several subjects.
    """
    images = [_image(config, key) for key in IMAGES if config.get(key)]
    given = {image.modality for image in images}
    if T1W not in given or not any(modality.fused for modality in given):
        raise ConfigError("must name a T1w (t1) and a PET (pet) or a CT (ct)")
    subjects = {image.subject for image in images if image.subject}
    if len(subjects) > 1:
        raise ConfigError(f"the images are of several subjects: {', '.join(sorted(subjects))}")
    subject = subjects.pop() if subjects else "01"
    return [replace(image, subject=subject) for image in images]


def _image(config: Mapping[str, Any], key: str) -> Image:
    value = config[key]
    if not isinstance(value, str) or not value.endswith(SUFFIXES):
        raise ConfigError(f"{key} must be the path of one .nii.gz or .nii file, not {value!r}")
    path = Path(value)
    if not path.is_file():
        raise ConfigError(f"{key}: there is no file {path}")
    meta = _meta(config, key)
    # BIDS fields begin with a capital letter; the others are of Brainlife
    metadata = {name: item for name, item in meta.items() if name[:1].isupper()}
    return Image(
        key=key,
        path=path,
        subject=_label(meta, key, "subject"),
        session=_label(meta, key, "session"),
        metadata={**metadata, **_sidecar(config, key, path)},
    )


def _meta(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    for given in config.get("_inputs", ()):
        if key in given.get("keys", ()) or given.get("id") == key:
            return given.get("meta") or {}
    return {}


def _label(meta: Mapping[str, Any], key: str, entity: str) -> str:
    text = str(meta.get(entity) or "")
    label = re.sub("[^0-9A-Za-z]", "", text.removeprefix(f"{entity[:3]}-"))
    if text and not label:
        raise ConfigError(f"{key}: no letter or digit in the {entity} {text!r}")
    return label


def _sidecar(config: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    """The fields of a sidecar that is named, or lies beside the image."""
    named = config.get(f"{key}_json")
    stem = next(path.name.removesuffix(end) for end in SUFFIXES if path.name.endswith(end))
    beside = path.with_name(f"{stem}.json")
    sidecar = Path(named) if named else beside
    if not named and not beside.is_file():
        return {}
    try:
        return read_json_object(sidecar)
    except UnreadableFileError as error:
        raise ConfigError(f"{key}_json: {sidecar} cannot be read: {error.reason}") from error


def find_options(config: Mapping[str, Any], images: Sequence[Image]) -> list[str]:
    """The words of the command line that follow from images and parameters.

    Raises
    ------
    ConfigError
        For an unknown parameter, or a value that is not a word.
    """
    known = {*IMAGES, *(f"{key}_json" for key in IMAGES), *PARAMETERS}
    unknown = sorted(name for name in config if name not in known and not name.startswith("_"))
    if unknown:
        raise ConfigError(
            f"unknown: {', '.join(unknown)}; parameters are {', '.join(sorted(PARAMETERS))}"
        )
    given = [image.modality.name for image in images if image.modality in MOVED]
    options = ["--modalities", *given]
    for name, flag in PARAMETERS.items():
        value = config.get(name)
        if value is None or value == "" or value is False:
            continue
        options.append(flag)
        if value is not True:
            options += _words(name, value)
    return options


def _words(name: str, value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]
    words = [word for item in items for word in str(item).split()]
    if not words or (len(words) > 1 and name not in OF_SEVERAL_WORDS):
        raise ConfigError(f"{name} must be one word, not {value!r}")
    if any(word.startswith("-") for word in words):
        raise ConfigError(f"{name} cannot be {value!r}")
    return words


def write_dataset(images: Sequence[Image], root: Path) -> None:
    """Copy the images into a new BIDS dataset, with their sidecars."""
    root.mkdir(parents=True)
    description = {"Name": "Brainlife inputs", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    _write_json(root / "dataset_description.json", description)
    (root / ".bidsignore").write_text(f"{BIDS[CT].datatype}\n", encoding="utf-8")
    for image in images:
        target = image.target(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image.path, target)
        if image.metadata:
            name = target.name.removesuffix(".gz").removesuffix(".nii")
            _write_json(target.with_name(f"{name}.json"), image.metadata)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json_text(content), encoding="utf-8")


def main() -> int:
    """Run in the current folder."""
    try:
        config = read_config(Path("config.json"))
        images = find_images(config)
        options = find_options(config, images)
    except ConfigError as error:
        message = f"config.json: {error}"
        print(message, file=sys.stderr)
        _write_json(Path("product.json"), {"brainlife": [{"type": "error", "msg": message}]})
        return USAGE
    write_dataset(images, Path("bids"))
    Path("options.txt").write_text("".join(f"{word}\n" for word in options), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

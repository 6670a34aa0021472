"""The Boutiques descriptor says what the parser does, and runs the command."""

import argparse
import json
import subprocess
import sys

import pytest

from bids_app.exitcodes import ExitCode
from bids_app.parser import build_parser
from fusionprep import __version__
from fusionprep.choices import AnalysisLevel, choices
from fusionprep.config import Fusion
from fusionprep.config_checks import LIMITS
from fusionprep.point_spreads import FWHM_LIMITS_MM
from tests.platforms.conftest import PLATFORMS

DESCRIPTOR = PLATFORMS / "boutiques.json"
CONTENT = json.loads(DESCRIPTOR.read_text("utf-8"))
INPUTS = {given["id"]: given for given in CONTENT["inputs"]}
# Said in other words, because argparse says it elsewhere or not at all.
REWORDED = {
    "bids_dir",
    "output_dir",
    "analysis_level",
    "help",
    "version",
    "verbose",
    "models",
}
RUN = {"OutputLocation": "out", "AnalysisLevel": "participant", "WorkDir": "work"}


def options() -> dict[str, argparse.Action]:
    """What a descriptor has to tell, by the value-key it has there."""
    return {
        f"[{action.dest.upper()}]": action
        for action in build_parser()._actions
        if action.dest != "bids_exec_spec"
    }


def expected(action: argparse.Action) -> dict[str, object]:
    """The fields of an input that follow from an argument of the parser."""
    flags = [flag for flag in action.option_strings if flag.startswith("--")]
    fields: dict[str, object] = {"optional": bool(flags)}
    if action.dest == "verbose":
        # given twice as one word: a flag of Boutiques cannot be repeated
        return {"optional": True, "type": "String", "value-choices": ["-v", "-vv"]}
    if flags:
        fields["command-line-flag"] = flags[0]
    if action.nargs == 0:
        return {**fields, "type": "Flag"}
    if action.dest == "analysis_level":
        # argparse does not check it: another level has an exit code of its own
        fields["value-choices"] = list(choices(AnalysisLevel))
    if action.choices:
        fields["value-choices"] = list(action.choices)
    if action.metavar == "FILE" or action.dest == "bids_dir":
        fields["type"] = "File"
    elif getattr(action.type, "__name__", "") == "integer":
        smallest, largest = LIMITS[action.dest]
        fields.update({"type": "Number", "integer": True, "minimum": smallest, "maximum": largest})
    elif action.type is float:
        smallest, largest = FWHM_LIMITS_MM
        fields.update({"type": "Number", "minimum": smallest, "maximum": largest})
    else:
        # also of folders that need not exist: Boutiques mounts what is a File
        fields["type"] = "String"
    if action.nargs == "+":
        fields.update({"list": True, "min-list-entries": 1})
    if action.metavar == "NAME=FILE":
        fields.update({"list": True, "min-list-entries": 1, "list-separator": f" {flags[0]} "})
    return fields


def test_is_valid(bosh):
    done = bosh("validate", str(DESCRIPTOR))
    assert done.returncode == 0, done.stdout + done.stderr


def test_has_every_option_and_no_other():
    assert {given["value-key"] for given in INPUTS.values()} == set(options())
    # the three positional arguments come first, and in the order of the command line
    keys = CONTENT["command-line"].removeprefix("fusionapp ").split(" ")
    assert keys[:3] == ["[BIDS_DIR]", "[OUTPUT_DIR]", "[ANALYSIS_LEVEL]"]
    assert sorted(keys) == sorted(options())


@pytest.mark.parametrize("given", INPUTS.values(), ids=list(INPUTS))
def test_option_is_as_in_the_parser(given):
    action = options()[given["value-key"]]
    described = {key: value for key, value in given.items() if key not in ("id", "name")}
    description = described.pop("description")
    assert described == {**expected(action), "value-key": given["value-key"]}
    if action.dest not in REWORDED:
        assert description == action.help % vars(action)


def test_default_of_the_model_is_described():
    assert f"(default: {' '.join(Fusion().models)})" in INPUTS["FusionModel"]["description"]


def test_groups_are_those_of_the_help():
    titles = {"positional arguments", "options"}
    groups = {
        group.title.capitalize(): {f"[{action.dest.upper()}]" for action in group._group_actions}
        for group in build_parser()._action_groups
        if group.title not in titles
    }
    described = {
        group["name"]: {INPUTS[member]["value-key"] for member in group["members"]}
        for group in CONTENT["groups"]
    }
    assert described == groups


def test_versions_and_exit_codes():
    assert CONTENT["tool-version"] == __version__
    assert CONTENT["container-image"]["image"].endswith(f":{__version__}")
    codes = {error["code"] for error in CONTENT["error-codes"]}
    assert codes == {int(code) for code in ExitCode if code != ExitCode.SUCCESS}


def test_names_of_the_execution_specification():
    assert {"AnalysisLevel", "Help", "InputDataset", "OutputLocation", "ToolVersion"} <= set(INPUTS)
    assert CONTENT["custom"]["BIDSAppSpecVersion"]


def test_is_printed_without_other_arguments():
    command = [sys.executable, "-X", "importtime", "-m", "bids_app.run", "--bids-exec-spec"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == DESCRIPTOR.read_text("utf-8")
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not {"torch", "nipype", "bids", "numpy"} & imported


def launch(bosh, **invocation) -> subprocess.CompletedProcess[str]:
    """Run the bare command, not the container."""
    options = ("--no-container", "--skip-data-collection")
    return bosh("exec", "launch", *options, str(DESCRIPTOR), json.dumps({**RUN, **invocation}))


def test_launch_plans_a_dataset(bosh, phantom):
    done = launch(bosh, InputDataset=str(phantom), DryRun=True, SubjectLabel=["01"], Verbose="-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 image of 1 of 1 subject to process, 0 problems" in done.stdout


def test_launch_names_the_error(bosh, phantom):
    done = launch(bosh, InputDataset=str(phantom), SubjectLabel=["77"])
    assert done.returncode == ExitCode.NOTHING_SELECTED
    assert "the filters select no image" in done.stdout
    assert "has no folder sub-77" in done.stdout


def test_launch_in_the_container_finds_the_command(bosh, phantom, tmp_path, monkeypatch):
    """A stand-in for Docker shows what would be run: no login shell, which would reset PATH."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text('#!/bin/bash\necho "DOCKER $*"\nscript="${@: -1}"\ncat "$script"\n')
    docker.chmod(0o755)
    monkeypatch.setitem(bosh.environment, "PATH", f"{docker.parent}:{bosh.environment['PATH']}")
    invocation = json.dumps({**RUN, "InputDataset": str(phantom)})
    options = ("--skip-data-collection", "--no-pull", "--force-docker", "-u")
    done = bosh("exec", "launch", *options, str(DESCRIPTOR), invocation)
    (call,) = [line for line in done.stdout.splitlines() if line.startswith("DOCKER run ")]
    assert "--entrypoint=/bin/bash" in call
    assert f"-v {phantom}:{phantom}" in call
    assert f" {CONTENT['container-image']['image']} " in call
    assert f"#!/bin/bash\nfusionapp {phantom} out participant --work-dir work" in done.stdout


def test_lists_and_repeated_options_become_one_command(bosh):
    invocation = {
        **RUN,
        "InputDataset": "bids",
        "OutputLocation": "my results",
        "FusionModel": ["unet", "max"],
        "FusionWeights": ["unet=a b.safetensors", "ifcnn=c.safetensors"],
        "Sloppy": False,
        "WriteGraph": True,
    }
    done = bosh("exec", "simulate", "-i", json.dumps(invocation), str(DESCRIPTOR))
    assert done.stdout.splitlines()[-1] == (
        "fusionapp bids 'my results' participant --fusion-model unet max"
        " --fusion-weights 'unet=a b.safetensors' --fusion-weights ifcnn=c.safetensors"
        " --work-dir work --write-graph"
    )


@pytest.mark.parametrize(
    "wrong", [{"MaxDayGap": -1}, {"FusionModel": ["alchemy"]}, {"AnalysisLevel": "session"}]
)
def test_wrong_values_are_refused_before_the_launch(bosh, phantom, wrong):
    done = launch(bosh, InputDataset=str(phantom), DryRun=True, **wrong)
    assert done.returncode != 0
    assert "Failed validating" in done.stdout


@pytest.mark.slow
def test_launch_processes_a_subject(bosh, phantom, tmp_path):
    done = launch(
        bosh,
        InputDataset=str(phantom),
        Sloppy=True,
        FusionModel=["average"],
        OutputSpaces=["T1w"],
        SkipBidsValidation=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Missing files\n\n" in done.stdout
    assert (tmp_path / "out" / "sub-01.html").is_file()
    fused = "sub-01_trc-18FFDG_space-T1w_desc-fusedAverage_pet.nii.gz"
    assert (tmp_path / "out" / "sub-01" / "pet" / fused).is_file()

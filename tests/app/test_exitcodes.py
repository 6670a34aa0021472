import inspect

import pytest

from bids_app.exitcodes import BY_ERROR, ExitCode, exit_code_of
from fusionprep import errors


def test_codes_of_the_bids_apps_specification():
    assert {code.name: int(code) for code in ExitCode} == {
        "SUCCESS": 0,
        "FAILURE": 1,
        "INVALID_INPUT": 16,
        "UNKNOWN_LEVEL": 17,
        "NOTHING_SELECTED": 18,
        "USAGE": 64,
        "DATA": 65,
        "NO_INPUT": 66,
        "CANNOT_CREATE": 73,
        "IO_ERROR": 74,
    }


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 64),
        (errors.AnalysisLevelError, 17),
        (errors.DataError, 65),
        (errors.NotBIDSError, 16),
        (errors.NoInputError, 66),
        (errors.NothingSelectedError, 18),
        (errors.OutputError, 73),
        (errors.FusionPrepError, 1),
    ],
)
def test_code_of_an_error(kind, code):
    assert exit_code_of(kind("message")) == code


def test_the_nearest_class_counts():
    class OneKindOfDataError(errors.DataError):
        pass

    assert exit_code_of(OneKindOfDataError("message")) == ExitCode.DATA


def test_every_error_class_has_a_code_of_its_own():
    kinds = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.FusionPrepError) and kind is not errors.FusionPrepError
    }
    # of bad data, only with the file told apart
    kinds.remove(errors.UnreadableFileError)
    assert kinds == set(BY_ERROR)
    assert len(set(BY_ERROR.values())) == len(kinds)

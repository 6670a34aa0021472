"""Exit codes of the BIDS Apps execution specification, by name."""

from enum import IntEnum

from fusionprep import errors
from fusionprep.arguments import USAGE


class ExitCode(IntEnum):
    """What a finished process tells its caller."""

    SUCCESS = 0
    FAILURE = 1
    INVALID_INPUT = 16
    UNKNOWN_LEVEL = 17
    NOTHING_SELECTED = 18
    USAGE = USAGE
    DATA = 65
    NO_INPUT = 66
    CANNOT_CREATE = 73
    IO_ERROR = 74


BY_ERROR: dict[type[errors.FusionPrepError], ExitCode] = {
    errors.UsageError: ExitCode.USAGE,
    errors.AnalysisLevelError: ExitCode.UNKNOWN_LEVEL,
    errors.DataError: ExitCode.DATA,
    errors.NotBIDSError: ExitCode.INVALID_INPUT,
    errors.NoInputError: ExitCode.NO_INPUT,
    errors.NothingSelectedError: ExitCode.NOTHING_SELECTED,
    errors.OutputError: ExitCode.CANNOT_CREATE,
}


def exit_code_of(error: errors.FusionPrepError) -> ExitCode:
    """The exit code for an error; the most specific class counts."""
    for kind in type(error).__mro__:
        if kind in BY_ERROR:
            return BY_ERROR[kind]
    return ExitCode.FAILURE

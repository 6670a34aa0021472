"""fusionapp: parse, plan, build, run, report, and say by the exit code how it went."""

import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bids_app.exitcodes import ExitCode, exit_code_of
from bids_app.failures import DISK_ERRORS, IN_THE_WAY, memory_advice
from bids_app.surroundings import check_folder, ensure_utf8, set_environment
from fusionprep.arguments import quietly, shortened
from fusionprep.errors import FusionPrepError, one_line
from fusionprep.machine import address_space_gb, is_short_of_memory
from fusionprep.signals import InterruptionError, endings

# OpenBLAS tries for ever to get what it needs, and PyTorch aborts
SMALLEST_ADDRESS_SPACE_GB = 1.5


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if argv is None:
        ensure_utf8()
    arguments = list(sys.argv[1:] if argv is None else argv)
    return quietly(lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    set_environment()
    _ensure_home()
    try:
        with endings(InterruptionError):
            if _is_demo(arguments):
                return _demo(arguments[1:])
            return _analyse(arguments)
    except FusionPrepError as error:
        print(f"fusionapp: error: {shortened(one_line(str(error)))}", file=sys.stderr)
        return exit_code_of(error)
    except KeyboardInterrupt as interrupt:
        print(
            "fusionapp: interrupted; run the same command again to resume from the work directory",
            file=sys.stderr,
        )
        return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
    except Exception as error:
        line, code = _about_resources(error)
        if not line:
            raise
        print(f"fusionapp: error: {line}", file=sys.stderr)
        return code


def _about_resources(error: Exception) -> tuple[str, ExitCode]:
    """What to tell where disk or memory was short outside of any step; empty for other errors."""
    what = " ".join(str(error).split())
    if is_short_of_memory(f"{type(error).__name__}: {what}"):
        return f"too little memory: {memory_advice(what or 'none is left')}", ExitCode.FAILURE
    # Nipype itself writes to the work directory and to logs/ outside of any node
    if not isinstance(error, OSError) or error.errno not in DISK_ERRORS:
        return "", ExitCode.FAILURE
    # a copy that fails names its source first
    name = error.filename2 or error.filename
    place = f": {name}" if name else ""
    advice = "move it away" if error.errno in IN_THE_WAY else "free space or correct permissions"
    again = "then run again with the same work directory"
    return f"{error.strerror}{place}; {advice}, {again}", ExitCode.IO_ERROR


def _ensure_home() -> None:
    """Give a user without an account one, since libraries look for their settings there."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = tempfile.gettempdir()


def _is_demo(arguments: list[str]) -> bool:
    """``demo`` is a command unless an analysis level says that it is a dataset."""
    return arguments[:1] == ["demo"] and not {"participant", "group"} & set(arguments[1:])


def _demo(arguments: list[str]) -> int:
    from fusionprep.arguments import Parser, path, whole_number
    from fusionprep.config_checks import LIMITS

    parser = Parser(prog="fusionapp demo", description="Write a small synthetic BIDS dataset.")
    parser.add_argument("output_dir", type=path, help="folder to create")
    parser.add_argument(
        "--random-seed", type=whole_number(*LIMITS["random_seed"]), default=0, metavar="N"
    )
    parser.add_argument(
        "--lesion", action="store_true", help="an old infarct in each brain, and masks of it"
    )
    options = parser.parse_args(arguments)

    from fusionprep.demo.dataset import write_demo_dataset

    write_demo_dataset(options.output_dir, seed=options.random_seed, lesion=options.lesion)
    print(f"demo dataset: {options.output_dir}")
    return ExitCode.SUCCESS


def _analyse(arguments: list[str]) -> int:
    from bids_app.parser import parse

    check_folder()
    config, actions = parse(arguments)
    _check_address_space()
    if config.analysis_level == "group":
        from bids_app.group import run_group

        return run_group(config)

    from bids_app.participant import run_participant

    return run_participant(config, actions)


def _check_address_space() -> None:
    space = address_space_gb()
    if space is not None and space < SMALLEST_ADDRESS_SPACE_GB:
        raise FusionPrepError(
            f"ulimit -v allows this process {space:.2g} GB of memory, less than the"
            f" {SMALLEST_ADDRESS_SPACE_GB:g} GB that its libraries need to start; raise it (a batch"
            " system may call it h_vmem)"
        )


if __name__ == "__main__":
    sys.exit(main())

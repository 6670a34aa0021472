"""Errors a user can cause. ``str(error)`` is the one line to show: what, where, what to do."""


class FusionPrepError(Exception):
    """Base of every error whose message is meant for the user."""


class UsageError(FusionPrepError):
    """The command line or a configuration file asks for something impossible."""


class AnalysisLevelError(UsageError):
    """The command line asks for a level of analysis that there is not."""


class NoInputError(FusionPrepError):
    """An input that was named does not exist, or holds nothing to process."""


class NotBIDSError(FusionPrepError):
    """A folder that should be a BIDS dataset is not one."""


class DataError(FusionPrepError):
    """An image or a sidecar cannot be used as it is."""


class OutputError(FusionPrepError):
    """An output cannot be written."""


class NothingSelectedError(FusionPrepError):
    """The filters leave no image to process."""

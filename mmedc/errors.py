"""Every error that a user can meet, as one tree.

::

    MmedcError
    ├── RequestError        the request was wrong; nothing was done (exit code 2: do not try again)
    │   ├── RecipeError     a recipe or `--set`: file, line, key, nearest valid name
    │   ├── PolicyError     a file under `filters/`: file, line, what is wrong
    │   ├── CorpusError     a folder that is not a corpus, or belongs to another recipe
    │   └── ModelMissing    a model file that is not on this machine, and how to get it
    └── WorkError           the work failed (exit code 1: look before you try again)
        ├── TryAgain        the work failed for a reason outside it (exit code 75: the same command may resume it later)
        │   ├── StorageError  a disk or an object store fails or is full: where, and what to do
        │   ├── FolderBusy    another run is under way in the output folder: who, and since when
        │   └── ClusterLost   the Ray cluster is lost, or does not answer; committed units are kept
        ├── UnitsFailed     some units failed: which, why, and how to resume
        ├── OutcomeError    a corpus was built, but is not what was asked for: empty, or a source failed
        ├── AccountingError read ≠ kept + dropped + rejected: a bug, which is never ignored
        └── VerifyError     a corpus does not match its manifest

A message says where, what was found, what was expected and what to do.
"""


class MmedcError(Exception):
    """The root of all errors. The command line shows the message and exits with `exit_code`."""

    exit_code = 1


class RequestError(MmedcError):
    """The request was wrong; nothing was done."""

    exit_code = 2


class RecipeError(RequestError):
    """A recipe, or a `--set`, is wrong."""


class PolicyError(RequestError):
    """A file under `filters/` is missing or wrong."""


class CorpusError(RequestError):
    """A folder is not a corpus, or not the corpus of this recipe."""


class ModelMissing(RequestError):
    """A model file is not on this machine."""


class WorkError(MmedcError):
    """The work failed."""


class TryAgain(WorkError):
    """The work failed for a reason outside it, and the same command may succeed later."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class StorageError(TryAgain):
    """A disk or an object store failed, after retries."""


class FolderBusy(TryAgain):
    """Another run is under way in the output folder."""


class ClusterLost(TryAgain):
    """The Ray cluster was lost during the work."""


class UnitsFailed(WorkError):
    """Some units of a pass failed."""


class OutcomeError(WorkError):
    """A corpus was built, but it is not what its recipe asks for."""


class AccountingError(WorkError):
    """Some rows were neither kept nor counted as removed."""


class VerifyError(WorkError):
    """A corpus does not match its manifest."""

"""Every error that a user can meet, as one tree.

::

    MmedcError
    ├── RequestError        the request was wrong; nothing was done (exit code 2)
    │   ├── RecipeError     a recipe or `--set`: file, line, key, nearest valid name
    │   ├── PolicyError     a file under `filters/`: file, line, what is wrong
    │   ├── CorpusError     a folder that is no corpus, or belongs to another recipe
    │   └── ModelMissing    a model file that is not on this machine, and how to get it
    └── WorkError           the work failed (exit code 1)
        ├── StorageError    a disk or an object store does not answer, or is full: where, and how to go on
        ├── ClusterLost     Ray, or the node of this process, is gone; what is committed stays
        ├── UnitsFailed     some units could not be done: which, why, how to resume
        ├── AccountingError read ≠ kept + dropped + rejected: a bug, never ignored
        └── VerifyError     a corpus does not say the truth about itself

A message says where, what was found, what was expected and what to do.
"""


class MmedcError(Exception):
    """The root: show the message, exit with `exit_code`."""

    exit_code = 1


class RequestError(MmedcError):
    """The request was wrong; nothing was done."""

    exit_code = 2


class RecipeError(RequestError):
    """A recipe can't be read."""


class PolicyError(RequestError):
    """A file under `filters/` can't be read."""


class CorpusError(RequestError):
    """A folder is no corpus, or is not the corpus of this recipe."""


class ModelMissing(RequestError):
    """A model file is not on this machine."""


class WorkError(MmedcError):
    """The work failed."""


class StorageError(WorkError):
    """A disk or an object store does not take or give what it should, after retries."""


class ClusterLost(WorkError):
    """The Ray cluster went away in the middle of the work."""


class UnitsFailed(WorkError):
    """Some units of a pass could not be done."""


class AccountingError(WorkError):
    """Rows went in that neither came out nor were counted."""


class VerifyError(WorkError):
    """A corpus does not say the truth about itself."""

"""Model files that a command is given."""

from __future__ import annotations

from pathlib import Path

from jobs.problems import JobError
from model.propensity import Model, ModelFileError


def read_model(file: Path) -> Model:
    """The model of a file.

    Raises:
        JobError: there is none, or it is not a model.
    """
    try:
        return Model.from_json(file.read_bytes())
    except OSError as error:
        raise JobError(f"{file}: {error.strerror}") from None
    except ModelFileError as error:
        raise JobError(f"{file}: {error}") from None

"""The models that a command works with: of a file, or of a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.scoring.propensity import Model
from model.timeline import Models
from schemas.errors import JobError, ModelFileError, StoreError
from schemas.stored_models import StoredModel

NO_MODELS = "the store has no models yet: a flow notes that of ADSTREAMS_MODEL when it first starts"


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


def models_of(stored: Sequence[StoredModel], first: Model) -> Models:
    """The models of a store's table, or `first` while it has none.

    Raises:
        StoreError: something in the table is no model.
    """
    try:
        return Models.of_store(stored, first)
    except ModelFileError as error:
        raise StoreError(f"table models of the store: {error}") from None

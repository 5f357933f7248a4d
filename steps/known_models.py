"""The models that a flow scores by: those of the store's table `models`, which it follows while it runs.

The first of them is the one that ADSTREAMS_MODEL names, noted at a store's first start. A row's model follows from its
event's time, so that a process may learn of a model at any moment before the first row of it. A process that
learns of it too late has scored rows that no replay would score again: it undoes the change, and ends the flow.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from model.actions.catalogue import Actions
from model.attribution.rules import ATTRIBUTION_WINDOW, Attribution
from model.scoring.belief import believe
from model.scoring.propensity import Model
from model.scoring.training_record import from_milliseconds
from model.timeline import Models, read_models
from schemas.advice import Policy
from schemas.errors import ModelFileError, SettingsError
from schemas.grades import Grade
from schemas.stored_models import FROM_THE_BEGINNING, StoredModel
from steps.process.ending import fail
from steps.write import SharedWriter
from stores.base import Writer

_NO_ACTIONS = Actions.none()
_log = logging.getLogger("adstreams")


def models_at_start(writer: Writer, model: Model, is_first: bool) -> list[StoredModel]:
    """The models of the store; where there are none yet, the `is_first` process of a flow notes this one.

    Raises:
        SettingsError: the store's first model is another one.
        StoreError: the store cannot be read.
    """
    found = writer.models()
    if not found and is_first:
        writer.add_model(StoredModel(FROM_THE_BEGINNING, model.id, model.model_dump_json()))
        found = writer.models()  # another flow may have been faster
    _check_first(found, model)
    return found


def _check_first(stored: Sequence[StoredModel], model: Model) -> None:
    """Fail where the first model of a store is not this one."""
    if not stored or stored[0].valid_from != FROM_THE_BEGINNING:
        return
    (first,) = _read(stored[:1])
    if _scoring(first) != _scoring(model):
        other = "another model of that id" if first.id == model.id else f"model {model.id}"
        raise SettingsError(
            f"ADSTREAMS_MODEL: this store began with model {first.id}, not {other}; to score history anew take a new"
            " keyspace or file, to change the model from some time on leave the setting and use"
            " `python -m jobs models add FILE --from TIME`"
        )


def _scoring(model: Model) -> Model:
    """The part of a model that rows are scored by, without its training record."""
    return model.model_copy(update={"valid_from": None, "trained_on": None})


def _read(stored: Sequence[StoredModel]) -> list[Model]:
    try:
        return read_models(stored)
    except ModelFileError as error:
        raise SettingsError(f"table models of the store: {error}") from None


class KnownModels:
    """The models by which this process scores.

    Args:
        first: the model of ADSTREAMS_MODEL.
        stored: those of the store's table at the start.
        actions: what can be done next.
        attribution_window: how long before a conversion a touch may be that is credited with it, in ms.
        most: events within 24 hours above which a user is set apart, and nothing is recommended; 0 sets nobody apart.
        policy: which models advise; of the others nothing is recommended.
        simulated: whether events are the simulated world's.
        grades: those of the store at the start.

    Raises:
        SettingsError: the table has something that is no model.
    """

    def __init__(
        self,
        first: Model,
        stored: Sequence[StoredModel] = (),
        actions: Actions = _NO_ACTIONS,
        attribution_window: int = ATTRIBUTION_WINDOW,
        most: int = 0,
        policy: Policy = Policy.BELIEVED,
        simulated: bool = False,
        grades: Sequence[Grade] = (),
    ) -> None:
        self._first, self._actions, self._look_back, self._most = first, actions, attribution_window, most
        self._policy, self._simulated, self._grades = policy, simulated, tuple(grades)
        self._withheld = dict[str, str]()
        self._stored, self._newest = frozenset[StoredModel](), FROM_THE_BEGINNING
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._current = self._built(())
        self.learn(stored)
        self.heed(grades)

    def _built(self, later: Sequence[Model]) -> tuple[Models, Attribution]:
        models = Models(self._first, later, self._actions, self._most)
        return models.withholding(self._judged(models)), Attribution(models, self._look_back)

    def _judged(self, models: Models) -> dict[str, str]:
        """By their ids the models that nothing is recommended of, and why."""
        beliefs = {each.id: believe(each, self._grades, self._policy, self._simulated) for each in models.models}
        return {name: belief.why for name, belief in beliefs.items() if not belief.believed}

    def heed(self, grades: Sequence[Grade]) -> None:
        """Withhold the advice of models that these grades speak against, from now on; log what changes.

        A row keeps the advice that it was written with: unlike its score, that does not follow from events alone.
        """
        self._grades = tuple(grades)
        with self._lock:
            models, attribution = self._current
            found = self._judged(models)
            if found.keys() != self._withheld.keys():
                self._current = models.withholding(found), attribution
            news = {name: why for name, why in found.items() if name not in self._withheld}
            again = self._withheld.keys() - found.keys()
            self._withheld = found
        if not self._actions.actions:
            return
        for why in news.values():
            _log.warning("best_action is withheld: %s", why)
        for name in sorted(again):
            _log.info("model %s recommends actions again", name)

    def until(self, time: int) -> tuple[Models, Attribution]:
        """The models, and what credits by them, for rows up to an event time (ms).

        A change from that time on, or from an earlier one, is too late now.
        """
        with self._lock:
            self._newest = max(self._newest, time)
            return self._current

    def learn(self, stored: Sequence[StoredModel]) -> list[StoredModel]:
        """Score by these models from now on, unless some of the change comes too late: that is what is returned.

        Raises:
            SettingsError: their first is not that of ADSTREAMS_MODEL, or one is no model.
        """
        found = frozenset(stored)
        if found == self._stored:
            return []
        _check_first(stored, self._first)
        later = [each for each in stored if each.valid_from != FROM_THE_BEGINNING]
        built = self._built(_read(later))
        with self._lock:
            changed = {each for each in found ^ self._stored if each.valid_from != FROM_THE_BEGINNING}
            too_late = [each for each in changed if each.valid_from <= self._newest]
            if not too_late:
                self._stored, self._current = found, built
        if changed and not too_late:
            _log.info("models: %s", ", ".join([self._first.id, *map(_told, later)]))
        return too_late

    def follow(self, writer: SharedWriter) -> None:
        """Take over the store's table; a change that is too late is undone there, and ends the flow.

        Raises:
            StoreError: the store cannot be read.
        """
        try:
            with self._reading:  # one thread after another: what was read before is not learnt behind what is newer
                stored = writer.models()
                too_late = self.learn(stored)
                self.heed(writer.grades())
        except SettingsError as error:
            fail(error)
        if too_late:
            fail("; ".join([_undo(writer, each, each in stored) for each in too_late]))


def _undo(writer: SharedWriter, model: StoredModel, was_added: bool) -> str:
    """Undo a change of the table, and return a line about it."""
    change = writer.remove_model if was_added else writer.add_model
    change(model)
    came, undone = ("came", "removed") if was_added else ("was removed", "put back")
    return (
        f"model {model.model_id} {came} too late: rows after {from_milliseconds(model.valid_from)}, from when on it is"
        f" valid, had been scored; it was {undone}"
    )


def _told(model: StoredModel) -> str:
    return f"{model.model_id} from {from_milliseconds(model.valid_from)}"

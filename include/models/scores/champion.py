"""The churn model in use, ready to score."""

from __future__ import annotations

from dataclasses import dataclass

from include.models.churn.inputs import CORE_VIEW
from include.models.churn.model import ChurnModel
from include.models.registry.model_registry import ModelRegistry, ModelVersion

NAME = "churn"


class NoChampion(LookupError):
    """There is no churn model that scores could be made with; the text says why."""


@dataclass(frozen=True, slots=True)
class Champion:
    """A loaded model and the version that it is."""

    kept: ModelVersion
    model: ChurnModel

    @property
    def wanted(self) -> list[str]:
        """The features that it reads, and something of `CORE_VIEW`, without which nobody is scored."""
        views = {item.partition(":")[0].partition("@")[0] for item in self.model.wanted}
        return [*self.model.wanted] if CORE_VIEW in views else [*self.model.wanted, f"{CORE_VIEW}:recency_days"]


def load_champion(registry: ModelRegistry) -> Champion:
    """The champion of the registry.

    :raises NoChampion: no version has the alias, or it holds a model of another kind.
    :raises ArtefactDamaged: its artefact is not what was stored.
    """
    kept = registry.holder_of(NAME)
    if kept is None:
        raise NoChampion("No churn model is champion yet. Run the DAG churn_model until one is promoted.")
    model = registry.load(NAME, kept.version)
    if not isinstance(model, ChurnModel):
        raise NoChampion(
            f"The champion {NAME} version {kept.version} is a {type(model).__name__} of an earlier kind, which cannot "
            "score customers. Run the DAG churn_model until a new one is promoted."
        )
    return Champion(kept, model)

"""What a feature service is: the features that one model wants, under one name."""

from __future__ import annotations

from dataclasses import dataclass

from include.features.definitions.entity import NAME
from include.features.definitions.view import BadDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureService:
    """A named set of features for a model.

    :param features: each `view` (all of its features) or `view:feature`.
    :raises BadDefinition: the name is not in lower snake case, nothing is wanted or it stands there twice, or nobody
        says what it is for and whose it is.
    """

    name: str
    features: tuple[str, ...]
    description: str
    owner: str

    def __post_init__(self) -> None:
        problems = []
        if not NAME.fullmatch(self.name):
            problems.append("its name is not lower snake case")
        if not self.features or len(set(self.features)) < len(self.features):
            problems.append("it wants no features, or one twice")
        if not self.description.strip() or not self.owner.strip():
            problems.append("it has no description or no owner")
        if problems:
            raise BadDefinition(f"The feature service {self.name!r} cannot be used: {'; '.join(problems)}.")

"""What can be wrong with a kept model."""


class ModelMissing(LookupError):
    """There is no such model, version or holder of an alias."""


class ArtefactDamaged(RuntimeError):
    """A model's artefact is not what was stored; it was not opened."""


class RegistryUnreachable(RuntimeError):
    """MLflow did not answer, or refused; the text says which address and why. It gets time, then it is tried again."""


class BadRegistrySetting(ValueError):
    """A setting of the registry is missing; the text says which."""

"""Models as they are kept: versions with their artefacts, and the names of those in use, in MLflow."""

from include.models.registry.artefact import pack as pack
from include.models.registry.errors import ArtefactDamaged as ArtefactDamaged
from include.models.registry.errors import ModelMissing as ModelMissing
from include.models.registry.warehouse import holder_of as holder_of
from include.models.registry.warehouse import load_artefact as load_artefact
from include.models.registry.warehouse import set_alias as set_alias
from include.models.registry.warehouse import set_status as set_status

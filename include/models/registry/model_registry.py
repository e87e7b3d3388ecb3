"""The model registry: MLflow's tracking and registry behind the few things that are done with models here."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlflow.exceptions import MlflowException

from include.models.registry.artefact import pack, unpack
from include.models.registry.connection import connect, made_meanwhile, mlflow_errors
from include.models.registry.errors import ArtefactDamaged, ModelMissing

CHAMPION = "champion"
PREVIOUS = "previous"

MODEL_ID = "model_id"
DIGEST = "artefact_sha256"
REPLACED = "replaced_version"
REASON = "champion_reason"
ROLLED_BACK = "rolled_back_reason"

ARTEFACT = "model.joblib"
CARD = "model_card.md"


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered model.

    :param name: of the registered model, such as `churn`.
    :param version: MLflow's number, as text.
    :param model_id: the name it was registered under; the same data and settings give the same one.
    :param tags: what is kept beside it: the artefact's digest, versions of feature services, and what was given.
    :param run_id: MLflow's run with parameters, metrics and artefacts.
    """

    name: str
    version: str
    model_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""


class ModelRegistry:
    """Models in one MLflow.

    An object holds a client and no state, and may be shared by threads. Every method raises `RegistryUnreachable` when
    MLflow does not answer.
    """

    def __init__(self, tracking_uri: str, artefact_root: str) -> None:
        """Connect; an empty database gets MLflow's tables.

        :param tracking_uri: of a server (`http://…`) or a database (`postgresql://…`, `sqlite:///…`).
        :param artefact_root: folder or URL of the artefacts of new models; empty leaves it to the server.
        :raises RegistryUnreachable: there is nobody at this address.
        """
        self._address = tracking_uri
        self._artefact_root = artefact_root
        self._client = connect(tracking_uri)

    def register(
        self,
        name: str,
        model: object,
        *,
        model_id: str,
        parameters: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        card: str,
    ) -> ModelVersion:
        """Keep a model under a name, with all that is to be known of it.

        A model that is there already is left as it is and given back, whatever was passed now: tasks may be run again,
        and several may register at once. The version appears last, when everything it refers to is written.

        :param card: the model card, as Markdown.
        """
        if known := self.find(name, model_id):
            return known
        with mlflow_errors(self._address):
            run_id = self._log_run(name, model_id, parameters=parameters, metrics=metrics, tags=tags)
            content, digest = pack(model)
            self._log_files(run_id, {ARTEFACT: content, CARD: card.encode()})
            self._client.set_terminated(run_id)
            self._ensure_model(name)
            made = self._client.create_model_version(
                name,
                source=f"{self._client.get_run(run_id).info.artifact_uri}/{ARTEFACT}",
                run_id=run_id,
                tags={**tags, MODEL_ID: model_id, DIGEST: digest},
            )
            first = self._versions_with(name, model_id)[0]
            if first.version != str(made.version):
                # Another registered it meanwhile. Numbers are given one after another: the greater sees the smaller.
                self._client.delete_model_version(name, str(made.version))
            return first

    def find(self, name: str, model_id: str) -> ModelVersion | None:
        """The version that was registered with this id."""
        with mlflow_errors(self._address):
            found = self._versions_with(name, model_id)
        return found[0] if found else None

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a model, oldest first."""
        with mlflow_errors(self._address):
            return self._search(f"name = {_quoted(name)}")

    def version(self, name: str, version: str) -> ModelVersion:
        """:raises ModelMissing: there is no such version."""
        with mlflow_errors(self._address, missing=f"There is no version {version} of the model {name!r}."):
            return _plain(self._client.get_model_version(name, version))

    def load(self, name: str, version: str) -> object:
        """The model itself. Its bytes are compared with their digest before anything in them is run.

        :raises ModelMissing: there is no such version.
        :raises ArtefactDamaged: the artefact is gone, or is not what was stored.
        """
        kept = self.version(name, version)
        return unpack(self._read(kept, ARTEFACT), digest=kept.tags.get(DIGEST), name=f"{name} version {version}")

    def card(self, name: str, version: str) -> str:
        """The model card, as Markdown.

        :raises ModelMissing: there is no such version.
        :raises ArtefactDamaged: the card is gone.
        """
        return self._read(self.version(name, version), CARD).decode()

    def add(self, kept: ModelVersion, *, metrics: Mapping[str, float], files: Mapping[str, bytes]) -> None:
        """Write metrics and files into the run of a version, such as an evaluation; what was there by that name goes.

        :param files: name, such as `report.html`, to content; a new `model_card.md` takes the place of the old one.
        """
        if ARTEFACT in files:
            raise ValueError(f"{ARTEFACT} is the model itself and is never written twice. Give the file another name.")
        with mlflow_errors(self._address):
            for metric, value in metrics.items():
                self._client.log_metric(kept.run_id, metric, value)
            self._log_files(kept.run_id, files)

    def holder_of(self, name: str, alias: str = CHAMPION) -> ModelVersion | None:
        """The version that an alias stands for, or None."""
        try:
            with mlflow_errors(self._address, missing="not held"):
                return _plain(self._client.get_model_version_by_alias(name, alias))
        except ModelMissing:
            return None

    def set_alias(self, name: str, version: str, *, alias: str = CHAMPION, reason: str) -> None:
        """Give an alias to a version; the former champion becomes `previous`. The same again changes nothing.

        Whoever changes the champion of the warehouse calls `include.models.champion.crown`, which takes turns with
        others and keeps the history.

        :raises ModelMissing: there is no such version.
        """
        self.version(name, version)
        former = self.holder_of(name, alias)
        if former and former.version == version:
            return
        with mlflow_errors(self._address):
            if alias == CHAMPION:
                self._tag(name, version, {REASON: reason, REPLACED: former.version if former else "", ROLLED_BACK: ""})
                self._point(name, PREVIOUS, former.version if former else "")
            self._client.set_registered_model_alias(name, alias, version)

    def rollback(self, name: str, *, reason: str) -> ModelVersion:
        """Make `previous` champion again, and what that one had replaced `previous`. What was champion is marked.

        :returns: the champion from now on.
        :raises ModelMissing: there is no champion, or none before it that was not rolled back itself.
        """
        holder, target = self.holder_of(name), self.holder_of(name, PREVIOUS)
        if holder is None:
            raise ModelMissing(f"No version of {name!r} is champion, so there is nothing to roll back.")
        if target is None or target.tags.get(ROLLED_BACK):
            raise ModelMissing(
                f"{name!r} has no former champion to go back to: version {holder.version} is the first, or those "
                "before it were rolled back themselves. Nothing was changed."
            )
        with mlflow_errors(self._address):
            self._tag(name, holder.version, {ROLLED_BACK: reason})
            self._client.set_registered_model_alias(name, CHAMPION, target.version)
            self._point(name, PREVIOUS, target.tags.get(REPLACED, ""))
        return target

    def _log_run(
        self,
        name: str,
        model_id: str,
        *,
        parameters: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> str:
        run_id = self._client.create_run(
            self._experiment(name), run_name=model_id, tags={**tags, MODEL_ID: model_id}
        ).info.run_id
        for parameter, value in parameters.items():
            self._client.log_param(run_id, parameter, value)
        for metric, number in metrics.items():
            self._client.log_metric(run_id, metric, number)
        return run_id

    def _experiment(self, name: str) -> str:
        """The experiment that holds the runs of a model."""
        root = f"{self._artefact_root.rstrip('/')}/{name}" if self._artefact_root else None
        if found := self._client.get_experiment_by_name(name):
            return found.experiment_id
        with made_meanwhile():
            return self._client.create_experiment(name, artifact_location=root)
        return self._experiment(name)

    def _ensure_model(self, name: str) -> None:
        if not self._client.search_registered_models(f"name = {_quoted(name)}"):
            with made_meanwhile():
                self._client.create_registered_model(name)

    def _versions_with(self, name: str, model_id: str) -> list[ModelVersion]:
        return self._search(f"name = {_quoted(name)} AND tags.{MODEL_ID} = {_quoted(model_id)}")

    def _search(self, condition: str) -> list[ModelVersion]:
        found, token = [], None
        while True:
            page = self._client.search_model_versions(condition, max_results=1000, page_token=token)
            found += [_plain(each) for each in page]
            token = page.token
            if not token:
                return sorted(found, key=lambda each: int(each.version))

    def _log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.write_bytes(content)
                self._client.log_artifact(run_id, str(path))

    def _read(self, kept: ModelVersion, file: str) -> bytes:
        """Read once: what is compared with the digest is what is opened."""
        with tempfile.TemporaryDirectory() as folder, mlflow_errors(self._address):
            try:
                return Path(self._client.download_artifacts(kept.run_id, file, folder)).read_bytes()
            except (MlflowException, OSError) as error:
                # A download fails in one way whatever the reason; where nobody answers, the listing fails too.
                listed = [found.path for found in self._client.list_artifacts(kept.run_id)]
                raise ArtefactDamaged(
                    f"The file {file} of {kept.name} version {kept.version} "
                    f"{'cannot be read' if file in listed else 'is gone'}: {error} Put it back from a backup, or "
                    "delete this version from the registry and train again."
                ) from error

    def _tag(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self._client.set_model_version_tag(name, version, key, value)

    def _point(self, name: str, alias: str, version: str) -> None:
        if version:
            self._client.set_registered_model_alias(name, alias, version)
        else:
            self._client.delete_registered_model_alias(name, alias)


def _plain(found) -> ModelVersion:  # type: ignore[no-untyped-def]  # MLflow's own ModelVersion
    return ModelVersion(
        name=found.name,
        version=str(found.version),
        model_id=found.tags.get(MODEL_ID, ""),
        tags=dict(found.tags),
        run_id=found.run_id or "",
    )


def _quoted(text: str) -> str:
    if "'" in text:
        raise ValueError(f"{text!r} cannot be the name or the id of a model: it has a quote in it.")
    return f"'{text}'"

"""The registry contract, on MLflow over SQLite and over Postgres: what is kept, what is refused, who holds an alias."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from include.models.registry.errors import ArtefactDamaged, BadRegistrySetting, ModelMissing, RegistryUnreachable
from include.models.registry.model_registry import CHAMPION, PREVIOUS, ModelRegistry
from include.models.registry.settings import registry_from_environment
from tests.integration.registry_stores import at_once, postgres_registry
from tests.integration.sandbox_process import ROOT


@pytest.fixture
def registry(any_registry: ModelRegistry) -> ModelRegistry:
    return any_registry


def register(registry: ModelRegistry, model_id: str, model: object = None, *, name: str = "churn"):
    return registry.register(
        name, model if model is not None else {"weights": [1.5, model_id]}, model_id=model_id,
        parameters={"horizon_days": 90, "seed": 0}, metrics={"training_rows": 5}, tags={"data_digest": "d" * 64},
        card=f"# {model_id}\n",
    )  # fmt: skip


def artefact_of(folder: Path) -> Path:
    [file] = folder.rglob("model.joblib")
    return file


def holders(registry: ModelRegistry) -> tuple[str | None, str | None]:
    found = (registry.holder_of("churn", alias) for alias in (CHAMPION, PREVIOUS))
    return tuple(kept.model_id if kept else None for kept in found)  # type: ignore[return-value]


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_model_comes_back_as_it_was_with_all_that_was_said_of_it(registry):
    kept = register(registry, "m-1")
    assert (kept.name, kept.version, kept.model_id) == ("churn", "1", "m-1")
    assert kept.tags["data_digest"] == "d" * 64
    assert registry.load("churn", kept.version) == {"weights": [1.5, "m-1"]}
    assert registry.card("churn", kept.version) == "# m-1\n"
    assert registry.version("churn", "1") == registry.find("churn", "m-1") == kept
    run = registry._client.get_run(kept.run_id)
    assert run.data.params == {"horizon_days": "90", "seed": "0"}
    assert run.data.metrics == {"training_rows": 5.0}
    assert run.info.status == "FINISHED"


def test_the_same_id_again_gives_the_first_and_writes_nothing(registry):
    first = register(registry, "m-1")
    assert register(registry, "m-1", {"another": "model"}) == first
    assert registry.versions("churn") == [first]
    assert registry.load("churn", "1") == {"weights": [1.5, "m-1"]}


def test_another_connection_sees_the_same(registry, tmp_path):
    register(registry, "m-1")
    registry.set_alias("churn", "1", reason="it is the first")
    other = ModelRegistry(registry._address, registry._artefact_root)
    assert other.holder_of("churn") == registry.holder_of("churn")
    assert other.load("churn", "1") == {"weights": [1.5, "m-1"]}


def test_models_registered_at_once_get_a_version_each_and_the_same_one_only_one(registry):
    ids = ["m-1", "m-2", "m-1", "m-3", "m-1", "m-2"]
    results = at_once(*(lambda model_id=model_id: register(registry, model_id) for model_id in ids))
    assert [kept.model_id for kept in results] == ids, results
    left = registry.versions("churn")
    assert sorted(kept.model_id for kept in left) == ["m-1", "m-2", "m-3"]
    assert {kept.version for kept in results} == {kept.version for kept in left}
    for kept in left:
        assert registry.load("churn", kept.version) == {"weights": [1.5, kept.model_id]}


@pytest.mark.parametrize("change", ["another pickle", "one bit", "cut", "nothing left"])
def test_an_artefact_whose_bytes_changed_is_refused_before_anything_in_it_runs(registry, tmp_path, change):
    import joblib

    register(registry, "m-1")
    file, mark = artefact_of(tmp_path), tmp_path / "mark"
    content = bytearray(file.read_bytes())
    if change == "another pickle":
        joblib.dump(Trap(mark), file)
    elif change == "one bit":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        file.write_bytes(content[:-1] if change == "cut" else b"")
    with pytest.raises(ArtefactDamaged, match=r"churn version 1 .*was not opened"):
        registry.load("churn", "1")
    assert not mark.exists()


def test_the_trap_of_the_test_above_goes_off_when_it_is_opened(registry, tmp_path):
    register(registry, "m-1", Trap(tmp_path / "mark"))
    registry.load("churn", "1")
    assert (tmp_path / "mark").exists()


def test_an_artefact_without_a_digest_is_not_opened(registry):
    register(registry, "m-1")
    registry._client.delete_model_version_tag("churn", "1", "artefact_sha256")
    with pytest.raises(ArtefactDamaged, match="none… was kept of it"):
        registry.load("churn", "1")


def test_an_artefact_that_is_gone_is_told_by_name(registry, tmp_path):
    register(registry, "m-1")
    artefact_of(tmp_path).unlink()
    with pytest.raises(ArtefactDamaged, match=r"model.joblib of churn version 1 is gone"):
        registry.load("churn", "1")


def test_what_is_not_there_is_missing(registry):
    assert registry.holder_of("churn") is None
    assert registry.find("churn", "m-1") is None
    assert registry.versions("churn") == []
    register(registry, "m-1")
    assert registry.holder_of("churn") is None
    for name, version in (("churn", "2"), ("no-such", "1")):
        with pytest.raises(ModelMissing, match=f"no version {version} of the model '{name}'"):
            registry.load(name, version)
    with pytest.raises(ModelMissing, match="no version 2"):
        registry.set_alias("churn", "2", reason="x")


def test_the_former_champion_is_kept_as_previous(registry):
    for model_id in ("m-1", "m-2", "m-3"):
        registry.set_alias("churn", register(registry, model_id).version, reason=f"{model_id} is better")
    assert holders(registry) == ("m-3", "m-2")
    registry.set_alias("churn", "3", reason="once more")
    assert holders(registry) == ("m-3", "m-2")
    assert registry.holder_of("churn").tags["champion_reason"] == "m-3 is better"


def test_other_aliases_do_not_touch_the_champion(registry):
    for model_id in ("m-1", "m-2"):
        register(registry, model_id)
    registry.set_alias("churn", "1", reason="x")
    registry.set_alias("churn", "2", alias="shadow", reason="to compare")
    assert holders(registry) == ("m-1", None)
    assert registry.holder_of("churn", "shadow").version == "2"


def test_rolling_back_goes_back_one_champion_at_a_time_and_never_forward(registry):
    for model_id in ("m-1", "m-2", "m-3"):
        registry.set_alias("churn", register(registry, model_id).version, reason="better")
    assert registry.rollback("churn", reason="too many letters").model_id == "m-2"
    assert holders(registry) == ("m-2", "m-1")
    assert registry.version("churn", "3").tags["rolled_back_reason"] == "too many letters"
    assert registry.rollback("churn", reason="still").model_id == "m-1"
    assert holders(registry) == ("m-1", None)
    with pytest.raises(ModelMissing, match="no former champion"):
        registry.rollback("churn", reason="more")
    assert holders(registry) == ("m-1", None)
    registry.set_alias("churn", register(registry, "m-4").version, reason="better")
    assert registry.rollback("churn", reason="no").model_id == "m-1"


def test_rolling_back_never_lands_on_what_was_rolled_back(registry):
    for model_id in ("m-1", "m-2"):
        registry.set_alias("churn", register(registry, model_id).version, reason="better")
    registry.rollback("churn", reason="bad")
    registry._client.set_registered_model_alias("churn", PREVIOUS, "2")
    with pytest.raises(ModelMissing, match="rolled back themselves"):
        registry.rollback("churn", reason="again")
    assert registry.holder_of("churn").model_id == "m-1"


def test_nothing_to_roll_back_without_a_champion(registry):
    register(registry, "m-1")
    with pytest.raises(ModelMissing, match="nothing to roll back"):
        registry.rollback("churn", reason="x")


def test_an_evaluation_joins_the_run_and_the_model_itself_cannot_be_replaced(registry):
    kept = register(registry, "m-1")
    registry.add(kept, metrics={"model.auc": 0.8}, files={"model_card.md": b"# judged\n", "report.json": b"{}"})
    assert registry.card("churn", "1") == "# judged\n"
    assert registry._client.get_run(kept.run_id).data.metrics["model.auc"] == 0.8
    with pytest.raises(ValueError, match="never written twice"):
        registry.add(kept, metrics={}, files={"model.joblib": b"x"})
    assert registry.load("churn", "1") == {"weights": [1.5, "m-1"]}


def test_names_that_would_break_a_search_are_refused(registry):
    with pytest.raises(ValueError, match="has a quote in it"):
        registry.find("churn", "x' OR name LIKE '%")


@pytest.mark.parametrize(
    "address",
    ["postgresql://someone:secret@127.0.0.1:1/mlflow", "http://127.0.0.1:1", "sqlite:////no/such/folder/mlflow.db"],
)
def test_an_address_where_nobody_is_is_told_without_its_password(address, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryUnreachable, match="Check that MLflow") as refused:
        ModelRegistry(address, "").holder_of("churn")
    assert address.split("@")[-1].removeprefix("postgresql://") in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_server_that_goes_away_is_unreachable_and_comes_back_by_itself(postgres_server, registry_database, tmp_path):
    import psycopg

    with (
        postgres_registry(postgres_server, registry_database, tmp_path) as registry,
        psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as admin,
    ):
        register(registry, "m-1")
        name = registry._address.rsplit("/", 1)[1]
        admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        with pytest.raises(RegistryUnreachable):
            registry.find("churn", "m-1")
        admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
        assert registry.find("churn", "m-1").version == "1"


def test_settings_name_the_folder_or_the_server(tmp_path):
    by_folder = registry_from_environment({"REGULARS_STORAGE": str(tmp_path)})
    register(by_folder, "m-1")
    assert (tmp_path / "models" / "mlflow.db").exists()
    assert artefact_of(tmp_path / "models" / "artefacts").is_file()
    address = f"sqlite:///{tmp_path}/models/mlflow.db"
    elsewhere = {"MLFLOW_TRACKING_URI": address, "MLFLOW_ARTEFACT_ROOT": (tmp_path / "other").as_uri()}
    assert registry_from_environment(elsewhere).find("churn", "m-1")
    assert register(registry_from_environment(elsewhere), "v-1", name="value").version == "1"
    assert artefact_of(tmp_path / "other").is_file()
    for missing in ({}, {"MLFLOW_TRACKING_URI": address}):
        with pytest.raises(BadRegistrySetting, match="REGULARS_STORAGE is not set"):
            registry_from_environment(missing)


def test_errors_and_settings_of_the_warehouse_side_import_no_mlflow():
    """DAG files and retry policies name them; MLflow takes seconds to import."""
    modules = "include.models.registry, include.models.registry.errors, include.models.index, include.models.churn.gate"
    code = f"import sys, {modules}; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_nothing_is_told_to_mlflow_s_makers():
    code = (
        "from include.models.registry import connection; from mlflow.telemetry.utils import is_telemetry_disabled;"
        "import sys; sys.exit(not is_telemetry_disabled())"
    )
    environment = {"PATH": "/usr/bin:/bin"}
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment).returncode == 0

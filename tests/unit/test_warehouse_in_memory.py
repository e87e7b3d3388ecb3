"""The in-memory doubles keep the contract."""

from __future__ import annotations

import pytest

from tests.quarantine_contract import QuarantineContract
from tests.warehouse_contract import WarehouseContract
from tests.warehouse_stores import StoresInMemory


class TestWarehouseInMemory(WarehouseContract, QuarantineContract):
    @pytest.fixture
    def stores(self) -> StoresInMemory:
        return StoresInMemory()

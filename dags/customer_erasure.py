"""Take a customer's personal data out of landing and the warehouse.

Trigger it by hand with a customer id, after the customer was erased in the shop (else the next load brings the data
back) and while no load is running. E-mail address, names, addresses, phone and network address go; ids, amounts and
times stay, so that sums hold and what was landed can be replayed. docs/landing.md says what is searched and what is
not, such as backups.

If the task fails: the line "Task failed with exception" in its log says what happened and what to do. Some of it may
be done; clear the task and it does the rest.
"""

from datetime import UTC, datetime

from airflow.sdk import dag
from orchestration.landing import ERASURE_PARAMS, erase_customer
from orchestration.retries import DEFAULT_ARGUMENTS


@dag(
    schedule=None,
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=ERASURE_PARAMS,
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["personal data", "by hand", "impact:high"],
)
def customer_erasure():
    erase_customer()


customer_erasure()

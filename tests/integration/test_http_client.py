"""The HTTP client against real hosts: what it takes, what it refuses, when it tries again, and what it never tells."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
import traceback
import tracemalloc
import zlib
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import psycopg
import pytest
import trustme
from aiohttp import encode_basic_auth, web

from include.entities.window import Window
from include.ingestion.network_store import postgres_network
from include.sources.circuit import Circuit, MemoryCircuits, Step
from include.sources.errors import (
    CertificateNotTrusted,
    CircuitOpen,
    ContractBroken,
    CredentialsRejected,
    SettingRefused,
    SourceError,
    SourceUnreachable,
)
from include.sources.http import Answer, HttpClient
from include.sources.limits import HttpLimits
from include.sources.network import Network
from include.sources.settings import SourceSettings
from tests.integration.http_host import Host, host, one_after_the_other, says

WINDOW = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
LIMITS = HttpLimits(attempts=3, first_wait_seconds=0.001, request_seconds=20)
LOGIN, PASSWORD, KEY = "ck_login_5f2a", "cs_password_91c3", "apikey_7d4e/+="
SECRETS = (LOGIN, PASSWORD, KEY, "apikey_7d4e", base64.b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode())


def settings(base_url: str) -> SourceSettings:
    return SourceSettings(name="shop_api", base_url=base_url, login=LOGIN, password=PASSWORD)


def client(base_url: str, *, network: Network | None = None, **limits: Any) -> HttpClient:
    return HttpClient(settings(base_url), window=WINDOW, network=network or Network(), limits=replace(LIMITS, **limits))


async def ask(http: HttpClient, path: str = "/orders", **options: Any) -> Answer:
    """A request that carries every kind of secret."""
    headers = {"Authorization": encode_basic_auth(LOGIN, PASSWORD)}
    return await http.get(path, params={"page": "7"}, secret_params={"apikey": KEY}, headers=headers, **options)


def run(scene: Awaitable[Any]) -> Any:
    return asyncio.run(asyncio.wait_for(scene, timeout=60))


def counts(network: Network) -> dict[str, tuple[int, int]]:
    """Requests and retries by status."""
    return {status: (each.request_count, each.retry_count) for (_, _, status), each in network.requests.totals.items()}


def test_a_host_that_recovers_in_time_is_asked_again_and_every_try_is_counted():
    async def scene():
        network = Network()
        handler = one_after_the_other(says(503), says(429, Retry_After="0"), says(200, '{"a": 1}'))
        async with host(handler) as shop, client(shop.base_url, network=network) as http:
            answer = await ask(http)
        assert (answer.status, answer.body, answer.request) == (200, b'{"a": 1}', "/orders?page=7")
        assert [request.query["apikey"] for request in shop.requests] == [KEY] * 3
        assert counts(network) == {"503": (1, 1), "429": (1, 1), "200": (1, 0)}
        hosts = {(name, source) for name, source, _ in network.requests.totals}
        assert hosts == {(shop.base_url.removeprefix("http://"), "shop_api")}

    run(scene())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 418, 451, 300, 304, 204, 206])
def test_any_other_status_is_final_at_the_first_try(status):
    kind = CredentialsRejected if status in (401, 403) else ContractBroken

    async def scene():
        network = Network()
        async with host(says(status)) as shop, client(shop.base_url, network=network) as http:
            with pytest.raises(kind, match=rf"GET /orders answered {status}.*1 try.*2024-01-01/2024-01-02.*`shop_api`"):
                await ask(http)
        assert counts(network) == {str(status): (1, 0)}

    run(scene())


def test_a_body_that_is_not_whole_is_asked_for_again_and_refused_in_the_end():
    def check(body: bytes) -> None:
        if body != b"whole":
            raise ValueError("it ends too soon")

    async def scene():
        network = Network()
        async with (
            host(one_after_the_other(says(200, "who"), says(200, "whole"), says(200, "who"))) as shop,
            client(shop.base_url, network=network) as http,
        ):
            assert (await ask(http, check=check)).body == b"whole"
            with pytest.raises(ContractBroken, match=r"cannot be read \(it ends too soon\) \(3 tries"):
                await ask(http, check=check)
        assert counts(network) == {"unreadable_body": (4, 3), "200": (1, 0)}

    run(scene())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_origin_is_followed_with_our_credentials(status):
    async def scene():
        handler = one_after_the_other(says(status, Location="/moved/?page=7"), says(200, "here"))
        async with host(handler) as shop, client(shop.base_url) as http:
            assert (await ask(http)).body == b"here"
        assert shop.requests[1].path_qs == "/moved/?page=7"
        assert shop.requests[1].headers["Authorization"] == encode_basic_auth(LOGIN, PASSWORD)

    run(scene())


@pytest.mark.parametrize("elsewhere", ["other host", "other port", "other scheme", "without scheme"])
def test_a_redirect_to_elsewhere_is_refused_and_nothing_is_sent_there(elsewhere):
    async def scene():
        async with host(says(200, "taken")) as thief, host(says(500)) as shop:
            thief_port, shop_port = (each.base_url.rpartition(":")[2] for each in (thief, shop))
            target = {
                "other host": f"http://localhost:{shop_port}/",
                "other port": f"http://127.0.0.1:{thief_port}/?apikey={KEY}",
                "other scheme": f"https://127.0.0.1:{shop_port}/",
                "without scheme": f"//{LOGIN}:{PASSWORD}@127.0.0.1:{thief_port}/",
            }[elsewhere]
            shop.answer = says(302, Location=target)
            async with client(shop.base_url) as http:
                with pytest.raises(ContractBroken, match="answered 302 and sends us to http") as refused:
                    await ask(http)
        assert (len(shop.requests), len(thief.requests)) == (1, 0)
        assert_discreet(told(refused.value))

    run(scene())


@pytest.mark.parametrize(
    ("location", "what"),
    [("/again", "was redirected more than 5 times"), (None, "without an address"), ("http://[", "without an address")],
)
def test_a_redirect_to_nowhere_is_refused(location, what):
    async def scene():
        headers = {} if location is None else {"Location": location}
        async with host(says(302, **headers)) as shop, client(shop.base_url) as http:
            with pytest.raises(ContractBroken, match=what):
                await ask(http)

    run(scene())


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_a_certificate_of_a_private_authority_is_trusted_if_ssl_cert_file_names_it(authority, tmp_path, monkeypatch):
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    async def scene():
        async with host(says(200, "safe"), tls=tls(authority)) as shop, client(shop.base_url) as http:
            assert (await ask(http)).body == b"safe"

    run(scene())


@pytest.mark.parametrize("name", ["127.0.0.1", "elsewhere.example"])
def test_a_certificate_that_is_not_to_be_trusted_ends_it_at_once_and_nothing_is_sent(
    authority, tmp_path, monkeypatch, name
):
    """Signed by an authority that we do not know; or by one that we know, for somebody else."""
    if name != "127.0.0.1":
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    async def scene():
        network = Network()
        async with (
            host(says(200), tls=tls(authority, name)) as shop,
            client(shop.base_url, network=network) as http,
        ):
            with pytest.raises(CertificateNotTrusted, match=r"not trusted \(.*1 try.*SSL_CERT_FILE"):
                await ask(http)
        assert shop.requests == []
        assert counts(network) == {"untrusted_certificate": (1, 0)}
        assert await network.circuits.read(shop.base_url.removeprefix("https://")) == Circuit(
            host=shop.base_url.removeprefix("https://")
        )

    run(scene())


def squeezed(megabytes: int, *, wbits: int) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, wbits)
    parts = [squeeze.compress(b" " * (1 << 20)) for _ in range(megabytes)]
    return b"".join([*parts, squeeze.flush()])


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "announced", "chunked"])
def test_an_answer_that_is_too_long_is_refused_with_flat_memory(encoding):
    limit = 2 << 20
    wbits = {"gzip": 31, "deflate": 15}.get(encoding)
    body = squeezed(200, wbits=wbits) if wbits else b""

    async def answer(request: web.Request) -> web.StreamResponse:
        if wbits:
            return web.Response(body=body, headers={"Content-Encoding": encoding})
        response = web.StreamResponse()
        if encoding == "announced":
            response.content_length = limit + 1
        await response.prepare(request)
        for _ in range(3 if encoding == "announced" else 100):
            await response.write(b" " * (1 << 18))
        return response

    async def scene():
        network = Network()
        async with host(answer) as shop, client(shop.base_url, network=network, body_bytes=limit) as http:
            with pytest.raises(ContractBroken, match=r"answered more than 2,097,152 bytes \(1 try.*`body_bytes`"):
                await ask(http)
        assert counts(network) == {"too_large": (1, 0)}

    tracemalloc.start()
    run(scene())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * limit + (8 << 20), "client and host together"


def test_an_answer_of_just_the_longest_length_is_taken_whole():
    async def scene():
        async with host(says(200, " " * 1000)) as shop, client(shop.base_url, body_bytes=1000) as http:
            assert len((await ask(http)).body) == 1000

    run(scene())


async def hangs(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError("nobody waits that long")


async def breaks_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_length = 1000
    await response.prepare(request)
    await response.write(b"[")
    assert request.transport is not None
    request.transport.close()
    return response


async def speaks_no_http(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 abc what?\r\n\r\n")
    request.transport.close()
    return web.Response()


async def shouts(request: web.Request) -> web.StreamResponse:
    return web.Response(headers={"X-Long": "x" * 20_000})


def told(error: BaseException) -> str:
    """Everything that a log or a mail may hold of an error: its text, its causes, its trace."""
    everything, links = "".join(traceback.format_exception(error)), [error.__cause__, error.__context__]
    return everything + repr(error) + "".join(told(link) for link in links if link is not None)


def assert_discreet(text: str) -> None:
    assert text
    assert [secret for secret in SECRETS if secret in text] == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (says(500, KEY), SourceUnreachable),
        (says(429, KEY), SourceUnreachable),
        (says(404, KEY), ContractBroken),
        (says(401, PASSWORD), CredentialsRejected),
        (says(200, f"not json {KEY}"), ContractBroken),
        (hangs, SourceUnreachable),
        (breaks_off, SourceUnreachable),
        (speaks_no_http, SourceUnreachable),
        (shouts, SourceUnreachable),
        (None, SourceUnreachable),
    ],
    ids=["500", "429", "404", "401", "unreadable", "hangs", "breaks_off", "no_http", "shouts", "refused"],
)
def test_no_log_line_and_no_error_tells_a_secret_whatever_goes_wrong(answer, error, caplog):
    async def scene():
        async with host(answer or says(200)) as shop:
            base_url = shop.base_url if answer else "http://127.0.0.1:1"
            async with client(base_url, request_seconds=0.2) as http:
                with pytest.raises(error) as failed:
                    await ask(http, check=parse)
        return failed.value

    def parse(body: bytes) -> None:
        raise ValueError("no JSON")

    with caplog.at_level(logging.DEBUG):
        failure = run(scene())
    assert_discreet(told(failure) + caplog.text + repr(settings("https://shop.example")))
    assert isinstance(failure, SourceError) and "Nothing was loaded" in str(failure)


@pytest.mark.parametrize(
    "address",
    [f"https://{LOGIN}:{PASSWORD}@shop.example", "shop.example", "ftp://shop.example", "https://", "https://a b:c/"],
)
def test_an_address_that_cannot_be_used_is_refused_without_being_repeated(address):
    with pytest.raises(SettingRefused, match="address of the connection `shop_api`") as refused:
        client(address)
    assert_discreet(told(refused.value))


def test_a_sick_host_is_left_alone_after_so_many_failures_by_all_who_share_the_network():
    async def scene():
        network, other = Network(), Network()
        async with host(says(502)) as shop:
            async with client(shop.base_url, network=network, attempts=2, circuit_failures=5) as http:
                for _ in range(2):
                    with pytest.raises(SourceUnreachable, match="answered 502"):
                        await ask(http)
                with pytest.raises(CircuitOpen, match=r"was not sent: .* after 5 failed tries .*answered 502\); one"):
                    await ask(http)
            assert len(shop.requests) == 5
            shop.answer = says(200)
            async with client(shop.base_url, network=network) as http:
                with pytest.raises(CircuitOpen):
                    await ask(http)
            assert len(shop.requests) == 5, "nothing is sent while the circuit is open"
            async with client(shop.base_url, network=other) as http:
                assert (await ask(http)).status == 200

    run(scene())


async def opened(network: Network, shop: Host) -> Circuit:
    """The host's circuit as if its rest were just over."""
    name = shop.base_url.removeprefix("http://")
    past = datetime.now(UTC) - timedelta(seconds=1)
    circuit = Circuit(host=name, state="open", failure_count=9, opened_at=past, probe_at=past, reason="answered 502")
    network.circuits.keep(circuit)
    return circuit


@pytest.mark.parametrize(
    ("answer", "state"),
    [(says(200), "closed"), (says(404), "closed"), (says(429), "closed"), (says(500), "open"), (hangs, "open")],
    ids=["200", "404", "429", "500", "hangs"],
)
def test_after_its_rest_one_request_tries_the_host_and_any_answer_but_a_sick_one_closes_the_circuit(answer, state):
    async def scene():
        network = Network()
        async with host(answer) as shop:
            before = await opened(network, shop)
            async with client(shop.base_url, network=network, attempts=1, request_seconds=0.2) as http:
                results = await asyncio.gather(*(ask(http) for _ in range(5)), return_exceptions=True)
            after = await network.circuits.read(before.host)
        refused = [each for each in results if isinstance(each, CircuitOpen)]
        assert len(shop.requests) + len(refused) == 5 and len(shop.requests) >= 1
        if state == "open":
            assert len(shop.requests) == 1 and after.failure_count == 10
        assert after.state == state

    run(scene())


def test_a_probe_that_is_cancelled_leaves_the_chance_to_the_next():
    async def scene():
        network = Network()
        async with host(hangs) as shop:
            before = await opened(network, shop)
            async with client(shop.base_url, network=network) as http:
                probe = asyncio.create_task(ask(http))
                while not shop.requests:
                    await asyncio.sleep(0.001)
                probe.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await probe
                assert (await network.circuits.read(before.host)).state == "open"
                shop.answer = says(200)
                assert (await ask(http)).status == 200

    run(scene())


def test_answers_that_are_no_sickness_never_open_the_circuit():
    async def scene():
        network = Network()
        async with host(says(200)) as shop:
            async with client(shop.base_url, network=network, attempts=1, circuit_failures=2) as http:
                for answer in (says(404), says(429), says(401), says(302), says(200, "nonsense")) * 2:
                    shop.answer = answer
                    with pytest.raises(SourceError) as failed:
                        await ask(http, check=lambda body: (_ for _ in ()).throw(ValueError("nonsense")))
                    assert not isinstance(failed.value, CircuitOpen)
            assert await network.circuits.read(shop.base_url.removeprefix("http://")) == Circuit(
                host=shop.base_url.removeprefix("http://")
            )

    run(scene())


@pytest.mark.parametrize("answer", [hangs, says(503)], ids=["hangs", "503"])
def test_when_the_tasks_time_is_over_the_error_says_how_far_it_got(answer):
    async def scene():
        async with (
            host(says(200)) as shop,
            client(shop.base_url, task_seconds=0.5, attempts=10_000, circuit_failures=10**6) as http,
        ):
            for number in range(3):
                await ask(http, path=f"/orders/{number}")
            shop.answer = answer
            told = r"0\.5 s .* are over: 3 requests were answered, GET /orders/3\?page=7 was not yet .*`task_seconds`"
            for _ in range(2):
                with pytest.raises(SourceUnreachable, match=told) as failed:
                    await ask(http, path="/orders/3")
                assert not isinstance(failed.value, CircuitOpen)

    run(scene())


def test_no_more_requests_are_under_way_than_allowed():
    under_way: list[int] = [0, 0]

    async def answer(request: web.Request) -> web.StreamResponse:
        under_way[0] += 1
        under_way[1] = max(under_way)
        await asyncio.sleep(0.002)
        under_way[0] -= 1
        return web.Response()

    async def scene():
        async with host(answer) as shop, client(shop.base_url, concurrency=3) as http:
            await asyncio.gather(*(ask(http) for _ in range(20)))
        assert under_way == [0, 3]

    run(scene())


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_what_became_of_every_request_is_in_the_warehouse_when_the_client_ends_well_or_badly(
    warehouse: psycopg.Connection, warehouse_dsn: str, ends: str
):
    async def scene():
        handler = one_after_the_other(says(500), says(200), says(200 if ends == "well" else 404))
        async with (
            host(handler) as shop,
            client(shop.base_url, network=postgres_network(warehouse_dsn)) as http,
        ):
            await ask(http)
            await ask(http)
        return shop.base_url.removeprefix("http://")

    if ends == "badly":
        with pytest.raises(ContractBroken):
            run(scene())
    else:
        run(scene())
    rows = warehouse.execute(
        "SELECT source, status, request_count, retry_count, seconds_total > 0,"
        " (SELECT sum(n) FROM unnest(bucket_counts) AS b (n)) FROM ops.request_totals ORDER BY status"
    ).fetchall()
    expected = {"well": [("200", 2), ("500", 1)], "badly": [("200", 1), ("404", 1), ("500", 1)]}[ends]
    assert rows == [("shop_api", status, count, int(status == "500"), True, count) for status, count in expected]


def test_a_client_that_lives_long_writes_its_counts_while_it_lives(monkeypatch):
    monkeypatch.setattr("include.sources.http.REFRESH_SECONDS", 0.001)
    flushed = asyncio.Event()

    class Flushed:
        def record(self, key: Any, *, seconds: float) -> None: ...
        def record_retry(self, key: Any) -> None: ...
        async def flush(self) -> None:
            flushed.set()

    async def scene():
        async with client("http://127.0.0.1:1", network=Network(requests=Flushed())):
            await flushed.wait()

    run(scene())


def test_while_all_is_well_the_circuit_is_read_when_the_client_begins_and_not_per_request():
    class Counting(MemoryCircuits):
        calls: ClassVar[list[str]] = []

        async def read(self, host: str) -> Circuit:
            self.calls.append("read")
            return await super().read(host)

        async def change(self, host: str, step: Step, *, now: datetime) -> tuple[Circuit, Circuit]:
            self.calls.append("change")
            return await super().change(host, step, now=now)

    async def scene():
        async with host(says(200)) as shop, client(shop.base_url, network=Network(circuits=Counting())) as http:
            await asyncio.gather(*(ask(http) for _ in range(50)))
            assert Counting.calls[0] == "read" and "change" not in Counting.calls
            assert len(Counting.calls) < 50

    run(scene())


def test_a_warehouse_that_is_away_does_not_keep_us_from_asking_a_host():
    async def scene():
        network = postgres_network("host=127.0.0.1 port=1 dbname=nothing user=nobody")
        async with host(one_after_the_other(says(500), says(200), says(500))) as shop:
            async with client(shop.base_url, network=network, circuit_failures=4, attempts=2) as http:
                assert (await ask(http)).status == 200
                for _ in range(2):
                    with pytest.raises(SourceUnreachable, match="answered 500"):
                        await ask(http)
                with pytest.raises(CircuitOpen):
                    await ask(http)
            return network.requests

    requests = run(scene())
    assert {status: each.request_count for (_, _, status), each in requests.totals.items()} == {"500": 5, "200": 1}

"""Landing in a local folder, in a bucket of a real S3 server and in memory: one behaviour."""

from __future__ import annotations

import threading
import tracemalloc
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from upath import UPath

from include.entities.window import Window
from include.ingestion.errors import LandingDamaged, LandingNotWritable, LandingUnreachable
from include.ingestion.landing import BatchWriter, Landing, compressed
from include.sources.source import Page
from tests.s3_server import S3Server, bucket_at, refusing_server

NOW = datetime(2024, 3, 9, 4, 5, 6, tzinfo=UTC)
WINDOW = Window(datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 8, tzinfo=UTC))
DAY = timedelta(days=1)


@pytest.fixture
def landing(any_landing: Landing) -> Landing:
    return any_landing


def page(body: bytes, *, number: int = 1, status: int = 200) -> Page:
    return Page(
        body=body, request=f"/orders?page={number}", received_at=NOW, context={"currency": "EUR"}, status=status
    )


def begin(landing: Landing, *, entity: str = "orders", window: Window = WINDOW, now: datetime = NOW) -> BatchWriter:
    return landing.open_batch(source="shop_api", entity=entity, window=window, now=now)


def land(landing: Landing, *bodies: bytes, **about) -> str:
    batch = begin(landing, **about)
    for number, body in enumerate(bodies, start=1):
        batch.write(page(body, number=number), rows=number)
    return batch.close()


def everything_in(landing: Landing) -> list[str]:
    root = landing.root
    return sorted(each[len(root.path.rstrip("/")) + 1 :] for each in root.fs.find(root.path, refresh=True))


@pytest.mark.parametrize("bodies", [[], [b""], [b"one", b"\x00\xff", bytes(range(256)) * 4096]])
def test_pages_come_back_byte_for_byte_in_order_with_what_was_asked(landing, bodies):
    name = land(landing, *bodies)
    asked = [page(body, number=number) for number, body in enumerate(bodies, start=1)]
    assert [each for _, each in landing.pages(name)] == asked
    assert [landing.page(name, each.file) for each in landing.manifest(name).pages] == asked
    manifest = landing.manifest(name)
    assert manifest.rows == sum(range(1, len(bodies) + 1))
    assert (manifest.source, manifest.entity, manifest.window, manifest.began_at) == ("shop_api", "orders", WINDOW, NOW)


def test_a_manifest_keeps_the_status_of_each_answer(landing):
    batch = begin(landing)
    for number, status in enumerate((200, 206), start=1):
        batch.write(page(b"[]", number=number, status=status), rows=0)
    name = batch.close()
    assert [each.status for each in landing.manifest(name).pages] == [200, 206]
    assert [each.status for _, each in landing.pages(name)] == [200, 206]


def test_a_batch_is_nowhere_to_be_seen_until_its_manifest_is_there(landing):
    batch = begin(landing)
    batch.write(page(b"[]"), rows=0)
    assert list(landing.batches()) == []
    name = batch.close()
    assert list(landing.batches()) == [name]
    assert everything_in(landing) == [f"{name}/manifest.json", f"{name}/page-00001.zst"]


def test_what_is_listed_is_what_is_there_now_also_when_others_write_and_remove(landing):
    """A second process's view: nothing that was listed once may be remembered."""
    other = Landing(landing.root)
    assert list(landing.batches()) == list(other.batches()) == []
    first = land(other, b"one")
    assert list(landing.batches()) == [first]
    second = land(landing, b"two", now=NOW + DAY)
    assert list(other.batches()) == [first, second]
    other.remove(first, "manifest.json")
    assert list(landing.batches()) == [second]


def test_batches_are_given_oldest_first_and_by_entity_and_window(landing):
    next_week = Window(WINDOW.end, WINDOW.end + 7 * DAY)
    names = [
        land(landing, entity="refunds", now=NOW + 3 * DAY),
        land(landing, now=NOW + 2 * DAY),
        land(landing, window=next_week, now=NOW + DAY),
        land(landing, now=NOW),
    ]
    assert list(landing.batches()) == names[::-1]
    assert list(landing.batches(entity="orders")) == names[:0:-1]
    assert list(landing.batches(entity="orders", window=WINDOW)) == [names[3], names[1]]
    assert list(landing.batches(window=next_week)) == [names[2]]
    assert list(landing.batches(entity="products")) == []


def test_two_batches_of_one_window_at_one_instant_stand_side_by_side(landing):
    first, second = land(landing, b"one"), land(landing, b"two")
    assert first != second
    assert [each.body for name in (first, second) for _, each in landing.pages(name)] == [b"one", b"two"]


def test_a_discarded_batch_leaves_nothing(landing):
    batch = begin(landing)
    for number in (1, 2):
        batch.write(page(b"[]", number=number), rows=0)
    batch.discard()
    assert everything_in(landing) == []
    begin(landing).discard()


def test_a_changed_missing_or_cut_file_is_named_with_what_to_do(landing):
    name = land(landing, b"one", b"two")
    file = landing.root / name / "page-00002.zst"
    whole = file.read_bytes()
    for damage, what in (
        (compressed(b"2wo"), "is not what was written"),
        (whole[: len(whole) // 2], "cannot be read"),
        (whole[:4] + b"\xff\xff\xff" + whole[7:], "cannot be read"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "is not what was written"),
        (b"no page at all", "cannot be read"),
        (b"", "is not what was written"),
        (None, "cannot be read"),
    ):
        file.unlink()
        if damage is not None:
            file.write_bytes(damage)
        for read in (lambda: list(landing.pages(name)), lambda: landing.page(name, "page-00002.zst")):
            with pytest.raises(LandingDamaged, match=rf"page-00002\.zst {what}.*Clear the extract task"):
                read()
        file.write_bytes(whole)
    assert [each.body for _, each in landing.pages(name)] == [b"one", b"two"]
    with pytest.raises(LandingDamaged, match=r"names no page-00003\.zst"):
        landing.page(name, "page-00003.zst")


@pytest.mark.parametrize("manifest", [None, b"", b"{}", b"\xff", b'{"source": 1}'])
def test_a_batch_without_a_readable_manifest_is_named_with_what_to_do(landing, manifest):
    name = land(landing, b"one")
    (landing.root / name / "manifest.json").unlink()
    if manifest is not None:
        (landing.root / name / "manifest.json").write_bytes(manifest)
    with pytest.raises(LandingDamaged, match=rf"{name} has no readable manifest.*Clear the extract task"):
        list(landing.pages(name))


@pytest.mark.parametrize("size", [0, 10, 20 * 2**20])
def test_a_file_beside_the_pages_appears_when_its_block_ends_well_in_place_of_an_older_one(landing, size):
    name = land(landing, b"one")
    for content in (b"a" * size, b"b" * size):
        with landing.writing(name, "orders.parquet") as file:
            for begin_at in range(0, size, 2**20):
                file.write(content[begin_at : begin_at + 2**20])
            assert file.tell() == size
        with landing.reading(name, "orders.parquet") as file:
            assert file.read() == content
            file.seek(size // 2)
            assert file.read(3) == content[size // 2 :][:3]
    landing.remove(name, "orders.parquet")
    landing.remove(name, "orders.parquet")
    with pytest.raises(FileNotFoundError):
        landing.reading(name, "orders.parquet")


@pytest.mark.parametrize("size", [0, 10, 20 * 2**20])
def test_a_file_whose_block_breaks_does_not_appear_and_leaves_the_older_one(landing, size):
    name = land(landing, b"one")
    before = everything_in(landing)
    for _ in range(2):
        with pytest.raises(KeyError), landing.writing(name, "orders.parquet") as file:
            file.write(b"b" * size)
            assert everything_in(landing) != [] and "orders.parquet" not in str(landing.manifest(name))
            raise KeyError
        assert everything_in(landing) == before
    with landing.writing(name, "orders.parquet") as file:
        file.write(b"kept")
    with pytest.raises(KeyError), landing.writing(name, "orders.parquet") as file:
        file.write(b"b" * size)
        raise KeyError
    with landing.reading(name, "orders.parquet") as file:
        assert file.read() == b"kept"


def test_memory_holds_one_page_at_a_time(tmp_path):
    """In a folder: this process holds moto's objects and the store in memory as well."""
    body = bytes(range(256)) * 2**12  # 1 MiB

    def peak(count: int) -> int:
        landing = Landing(tmp_path / str(count))
        tracemalloc.start()
        name = land(landing, *(body for _ in range(count)))
        for _ in landing.pages(name):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(40) < 1.5 * peak(4)


def test_a_bucket_that_is_not_there_is_named_with_what_to_do(s3_server):
    landing = Landing(bucket_at(s3_server.url, "nowhere") / "landing")
    with pytest.raises(LandingNotWritable, match=r"s3://nowhere/.*bucket does not exist.*REGULARS_LANDING"):
        land(landing, b"one")
    assert list(landing.batches()) == []
    assert "nowhere" not in [each["Name"] for each in s3_server.client().list_buckets()["Buckets"]]
    with pytest.raises(LandingDamaged, match="has no readable manifest"):
        landing.manifest("a/b/c/d")


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (403, "InvalidAccessKeyId"), (500, "Odd")])
def test_a_bucket_that_refuses_is_named_with_what_to_do_and_without_keys(status, code):
    with refusing_server(status=status, code=code) as url:
        landing = Landing(bucket_at(url, "bucket") / "landing")
        with pytest.raises(LandingNotWritable, match=rf"s3://bucket/landing.*{code}.*REGULARS_LANDING") as failed:
            land(landing, b"one")
        for read in (landing.manifest, lambda name: list(landing.batches())):
            with pytest.raises(
                LandingUnreachable, match=rf"s3://bucket/landing.*({code}|Forbidden|Internal)"
            ) as unread:
                read("a/b/c/d")
            assert "a-secret" not in str(failed.value) + str(unread.value)


def test_a_server_that_stops_in_the_middle_of_a_batch_leaves_no_batch_and_says_so():
    server = S3Server()
    try:
        bucket = server.bucket()
        landing = Landing(bucket / "landing")
        kept = land(landing, b"one")
        batch = begin(landing)
        batch.write(page(b"one"), rows=1)
        pages = landing.pages(kept)
    finally:
        server.stop()
    for step in (lambda: batch.write(page(b"two"), rows=1), batch.close):
        with pytest.raises(LandingNotWritable, match=r"s3://.* cannot be written \(.*REGULARS_LANDING"):
            step()
    with pytest.raises(LandingNotWritable), landing.writing(kept, "orders.parquet") as file:
        file.write(b"x" * 2**24)
    batch.discard()
    for read in (lambda: next(pages), lambda: list(landing.batches()), lambda: landing.reading(kept, "x")):
        with pytest.raises(LandingUnreachable, match=r"s3://.* cannot be read now"):
            read()


def test_an_upload_that_breaks_leaves_no_part_of_itself_in_the_bucket(s3_server):
    bucket = s3_server.bucket()
    landing = Landing(bucket / "landing")
    name = land(landing, b"one")
    with pytest.raises(KeyError), landing.writing(name, "orders.parquet") as file:
        file.write(b"x" * 2**25)
        assert s3_server.client().list_multipart_uploads(Bucket=bucket.drive)["Uploads"]
        raise KeyError
    assert "Uploads" not in s3_server.client().list_multipart_uploads(Bucket=bucket.drive)


def test_pages_are_in_the_bucket_as_any_other_client_reads_them(s3_server):
    bucket = s3_server.bucket()
    name = land(Landing(bucket / "landing"), b"one")
    kept = s3_server.client().get_object(Bucket=bucket.drive, Key=f"landing/{name}/page-00001.zst")["Body"].read()
    assert pa.input_stream(pa.BufferReader(kept), compression="zstd").read() == b"one"


def test_batches_written_side_by_side_do_not_disturb_one_another(landing):
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: names.append(land(landing, *[b"%d" % n] * 5, now=NOW + n * DAY)))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(landing.batches()) == sorted(names, key=lambda name: name.rsplit("/", 1)[1])
    assert [{each.body for _, each in landing.pages(name)} for name in landing.batches()] == [
        {b"%d" % n} for n in range(4)
    ]


def test_a_path_given_as_it_comes_from_anywhere_is_the_same_landing(tmp_path):
    name = land(Landing(tmp_path), b"one")
    for same in (str(tmp_path), UPath(tmp_path), f"file://{tmp_path}"):
        assert list(Landing(same).batches()) == [name]

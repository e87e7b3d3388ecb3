"""A real S3 server over HTTP on a free port of this machine, and landing in one of its buckets."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer
from upath import UPath

from tests.http_server import QuietHandler, served_by

KEYS = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret", "AWS_DEFAULT_REGION": "us-east-1"}
_numbers = itertools.count(1)


class S3Server:
    """moto's server in a thread of its own."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"

    def stop(self) -> None:
        """From now on nobody answers at the address."""
        self._server.stop()

    def bucket(self) -> UPath:
        """A fresh bucket."""
        name = f"bucket-{next(_numbers)}"
        self.client().create_bucket(Bucket=name)
        return bucket_at(self.url, name)

    def client(self) -> Any:
        """boto3, which knows nothing of the code under test."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=KEYS["AWS_DEFAULT_REGION"],
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find this server."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.url}


def bucket_at(url: str, name: str) -> UPath:
    """A bucket of the server at an address; who does not answer is not asked again."""
    return UPath(
        f"s3://{name}",
        endpoint_url=url,
        key=KEYS["AWS_ACCESS_KEY_ID"],
        secret=KEYS["AWS_SECRET_ACCESS_KEY"],
        client_kwargs={"region_name": KEYS["AWS_DEFAULT_REGION"]},
        config_kwargs={"retries": {"max_attempts": 0}},
    )


@contextmanager
def refusing_server(*, status: int, code: str) -> Iterator[str]:
    """The address of an S3 server that answers everything with one error."""
    body = f"<Error><Code>{code}</Code><Message>{code} it says</Message></Error>".encode()

    class Refusal(QuietHandler):
        protocol_version = "HTTP/1.1"  # or a client that asks before it sends waits for ever

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.say(body, {"Content-Type": "application/xml"}, status=status)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

    with served_by(Refusal) as address:
        yield address

"""A real S3-compatible object store for the tests: moto's server, a process of its own that checks signatures."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

QUICK = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})


class ObjectStore:
    """The server and an administrator's hand in it. ``secret`` is what an estate's credentials would hold."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (directory / "object-store.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        self.secret = self._sign_up()
        self.client = self._client(self.secret)

    def start(self) -> None:
        # Three requests make the user, the policy and the key; from then on every signature is checked.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "3"}, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("moto's server did not start")

    def _sign_up(self) -> str:
        anybody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nobody", "region_name": "us-east-1"}
        iam = boto3.client("iam", endpoint_url=self.url, config=QUICK, **anybody)
        iam.create_user(UserName="hilum")
        document = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
        iam.put_user_policy(UserName="hilum", PolicyName="archive", PolicyDocument=document)
        key = iam.create_access_key(UserName="hilum")["AccessKey"]
        return f"{key['AccessKeyId']}:{key['SecretAccessKey']}"

    def _client(self, secret: str) -> Any:
        access, _, key = secret.partition(":")
        keys = {"aws_access_key_id": access, "aws_secret_access_key": key, "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.url, config=QUICK, **keys)

    def bucket(self, name: str, *, locked: bool = False) -> str:
        """Make a bucket, with Object Lock or without."""
        self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)
        return name

    def names(self, bucket: str) -> list[str]:
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def hang(self) -> None:
        """Take connections and answer none, until ``go_on``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._log.close()


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """One server for the session; each test makes buckets of its own."""
    store = ObjectStore(tmp_path_factory.mktemp("object-store"))
    yield store
    store.stop()


STORE_REFUSALS = (BotoCoreError, ClientError)

"""The whole way of a lost host, as an operator walks it: ``drctl`` writes; bucket and paper are left."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lab.minio import Minio
from tests.e2e.site import Bucket, Site, digest, scatter
from tests.integration.reader.written import run_reader


def test_reader_from_the_bucket_restores_from_the_bucket(
    site: Path, minio: Minio, tmp_path: Path
) -> None:
    host = Site(tmp_path / "host", Bucket.fresh(minio))
    host.configure()
    assert host.bucket is not None
    assert host.run("init", "--sheet", str(tmp_path / "sheet.txt")).code == 0
    image = host.image("a.img", size=9 << 20)
    host.backup()
    before = digest(image)
    scatter(image, 30, seed="reader")
    host.backup()
    after = digest(image)
    shutil.rmtree(host.folder)

    signed = minio.s3.get(host.bucket.name, "site-a/format/1").body
    (name,) = re.findall(rb'"reader": "([0-9a-f]{64})"', signed)
    reader = tmp_path / "reader.py"
    reader.write_bytes(minio.s3.get(host.bucket.name, f"site-a/reader/{name.decode()}").body)
    assert digest(reader) == name.decode()
    secrets = {"AWS_ACCESS_KEY_ID": minio.access, "AWS_SECRET_ACCESS_KEY": minio.secret}
    for point, expected in (("disks/a.img@1", before), ("disks/a.img", after)):
        out = tmp_path / point.rpartition("/")[2]
        read = run_reader(
            site,
            *(host.url, point, out),
            *("--sheet", tmp_path / "sheet.txt", "--endpoint", minio.endpoint),
            environment=secrets,
            reader=reader,
        )
        assert read.code == 0, read.said
        assert digest(out) == expected

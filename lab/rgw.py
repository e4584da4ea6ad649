"""The Ceph Object Gateway on the lab's cluster: the second kind of S3. Started only when asked for.

The user is made before the first start, which makes the zone's pools on the way: two seconds
together, where starting first costs ten. Few log shards (see the configuration) save the rest.
"""

from lab.ceph import Ceph
from lab.s3 import S3, Keys
from lab.server import Server

INSTALL = "apt-get install radosgw"
START_S = 60.0
FIRST = "first-of-all"


class Rgw:
    """One gateway.

    Args:
        ceph: the cluster that holds the objects.
        port: the port on 127.0.0.1.
        keys: of the one user.
    """

    def __init__(self, ceph: Ceph, *, port: int, keys: Keys) -> None:
        self.ceph = ceph
        self.access, self.secret = keys.access, keys.secret
        self.endpoint = f"http://127.0.0.1:{port}"
        self.s3 = S3(self.endpoint, keys)
        self.fresh_bucket = self.s3.fresh_bucket
        frontend = f"--rgw-frontends=beast endpoint=127.0.0.1:{port}"
        name = ("--name", "client.rgw.lab")
        command = ("radosgw", "--conf", str(ceph.conf), *name, frontend, "--foreground")
        self.server = Server("rgw", ceph.folder, command, INSTALL)

    def start(self) -> None:
        """Start the gateway unless it runs, and return when it answers; Ceph must run.

        Raises:
            LabError: it is missing or does not start.
        """
        made = self.ceph.folder / "rgw.made"
        if not made.exists():
            keys = (f"--access-key={self.access}", f"--secret-key={self.secret}")
            user = ("--uid=lab", "--display-name=lab", *keys)
            self.ceph.run("radosgw-admin", "user", "create", *user)
            made.touch()
        self.server.start()
        self.server.wait(self.s3.answers, timeout_s=START_S)
        if not self.s3.has_bucket(FIRST):
            self._make_pools()

    def _make_pools(self) -> None:
        """Have it make the pools of its index, its data and its uploads: it makes each when it is first
        needed, and hangs for good when the cluster was frozen in the meantime.
        """
        self.s3.make_bucket(FIRST, versioned=False, lock=False)
        self.s3.put(FIRST, "first", b"")
        self.s3.request("POST", f"/{FIRST}/first", query={"uploads": ""})

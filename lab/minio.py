"""MinIO: one process, one drive. Built from its pinned Go module, see `install`."""

from pathlib import Path

from lab.install import minio_binary
from lab.s3 import S3, Keys
from lab.server import Server

INSTALL = "python3 -m lab install   (builds it; needs Go >= 1.24)"
START_S = 60.0


class Minio:
    """One server.

    Args:
        folder: the lab's folder.
        port: the port on 127.0.0.1.
        keys: of the root user.
    """

    def __init__(self, folder: Path, *, port: int, keys: Keys) -> None:
        self.folder = folder
        self.access, self.secret = keys.access, keys.secret
        self.endpoint = f"http://127.0.0.1:{port}"
        self.s3 = S3(self.endpoint, keys)
        self.fresh_bucket = self.s3.fresh_bucket
        where = ("--quiet", "--address", f"127.0.0.1:{port}", str(folder / "minio"))
        env = {
            "MINIO_ROOT_USER": keys.access,
            "MINIO_ROOT_PASSWORD": keys.secret,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        }
        self.server = Server("minio", folder, (str(minio_binary()), "server", *where), INSTALL, env)

    def launch(self) -> None:
        """Start the server unless it runs; it may not answer yet.

        Raises:
            LabError: it is not built.
        """
        (self.folder / "minio").mkdir(exist_ok=True)
        self.server.start()

    def start(self) -> None:
        """Start the server unless it runs, and return when it answers.

        Raises:
            LabError: it is not built or does not start.
        """
        self.launch()
        self.server.wait(self.s3.answers, timeout_s=START_S)

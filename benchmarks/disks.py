"""A host with small image files, and a repository in a folder: no server is needed."""

from __future__ import annotations

from pathlib import Path

from benchmarks.place import DRCTL, Place

SOURCE = "disks"
CONFIG = """\
state_dir = "{folder}/state"
[repository]
url = "{url}"
[keys]
file = "{folder}/drd.key"
[source.{source}]
type = "device"
paths = ["{folder}/images/*.img"]
quiesced = true
policy = "it"
[policy.it]
{policy}
[daemon]
metrics = "{metrics}"
log = "json"
{daemon}
"""


def make(
    place: Place, folder: Path, *, count: int, policy: str, daemon: str = "", metrics: str = ""
) -> Path:
    """So many images, each with a point; the configuration.

    Args:
        place: where it runs.
        folder: an empty one.
        count: of images, 4 KiB each.
        policy: lines of the table of the only policy.
        daemon: further lines of the daemon's table.
        metrics: where the daemon serves them; nowhere by default.
    """
    images = folder / "images"
    images.mkdir()
    for number in range(count):
        (images / f"{number:04}.img").write_bytes(number.to_bytes(4096, "big"))
    config = folder / "drd.toml"
    url = (folder / "repository").as_uri()
    words = {"folder": folder, "url": url, "source": SOURCE, "policy": policy, "daemon": daemon}
    config.write_text(CONFIG.format(metrics=metrics, **words))
    drctl = [str(DRCTL), "--config", str(config)]
    place.run([*drctl, "init", "--json"])
    place.say(f"first fulls of {count} small files")
    place.run([*drctl, "backup", "--json"])
    return config

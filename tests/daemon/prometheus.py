"""A real Prometheus with the shipped rules, in a hurry: it scrapes and evaluates each half second."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.daemon.service import until

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"
HURRY = "500ms"


def hurried(folder: Path) -> list[str]:
    """The shipped rules without their patience: what they ask, and of whom, stays."""
    files = []
    for path in sorted(MONITORING.glob("drd.*.yml")):
        loaded = yaml.safe_load(path.read_text("utf-8"))
        for group in loaded["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                rule.pop("for", None)
        (folder / path.name).write_text(yaml.safe_dump(loaded))
        files.append(path.name)
    return files


@dataclass
class Prometheus:
    """Its address."""

    url: str

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer; None while it does not answer."""
        try:
            with urlopen(f"{self.url}/api/v1/{path}?{urlencode(query)}", timeout=30) as answer:  # noqa: S310
                return json.load(answer)["data"]
        except URLError:
            return None

    def value(self, expression: str) -> float:
        """The value of a query with one series or none (0)."""
        found = self.ask("query", query=expression)["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def firing(self) -> dict[str, list[str]]:
        """Alerts that fire: name, and the lineage of each."""
        found: dict[str, list[str]] = {}
        for alert in self.ask("alerts")["alerts"]:
            if alert["state"] == "firing":
                labels = alert["labels"]
                found.setdefault(labels["alertname"], []).append(labels.get("lineage", ""))
        return found


@contextmanager
def watching(folder: Path, *, port: int, target: int) -> Iterator[Prometheus]:
    """Prometheus on *port* for the time of a test, scraping what listens on *target*."""
    folder.mkdir()
    config = {
        "global": {"scrape_interval": HURRY, "evaluation_interval": HURRY},
        "rule_files": hurried(folder),
        "scrape_configs": [
            {"job_name": "drd", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        ],
    }
    config["global"]["scrape_timeout"] = HURRY  # type: ignore[index]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{port}"
    command = ["prometheus", f"--web.listen-address={address}", "--log.level=warn"]
    command += ["--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process,
    ):
        prometheus = Prometheus(f"http://{address}")
        try:
            until(lambda: prometheus.ask("query", query="1"), "Prometheus answers")
            yield prometheus
        finally:
            process.kill()

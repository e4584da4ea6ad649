"""Two nodes, one cluster, one bucket."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.cloud import Cloud
from tests.e2e.site import MIB, digest

LONG = 96 * MIB
"""More than a source reads ahead: there is a middle."""
TTL_S = 5


class TwoNodes(Cloud):
    """A cloud with a second node: the same configuration and keys, a state folder of its own."""

    def nodes(self, ttl_s: int = TTL_S, extra: str = "") -> tuple[Path, Path]:
        """Configurations of both; *extra* in place of the usual ``[daemon]``."""
        usual = f'[daemon]\nlease = "rados"\nlease_ttl = "{ttl_s}s"\n'
        self.configure(extra=extra or usual)
        second = self.folder / "node-b.toml"
        text = self.config.read_text()
        second.write_text(text.replace(str(self.state), str(self.folder / "state-b")))
        return self.config, second

    def manifests(self) -> int:
        """Points that are in the bucket, full and partial, looked up behind MinIO's back."""
        return len(list(self.objects.glob("m/*/*/*")))

    def lineages(self) -> int:
        """Lineages that have a point, full or partial."""
        return len(list(self.objects.glob("m/*/*")))

    def restored(self) -> str:
        """SHA-256 of what the newest point restores to."""
        target = self.folder / "restored"
        target.unlink(missing_ok=True)
        answer = self.process("restore", self.label, "--to", f"file:{target}")
        assert answer.code == 0, answer.text
        return digest(target)

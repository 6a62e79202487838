"""How much room the disks of a worker have, as Prometheus is told when it asks."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from stream.settings import Settings


def folders_of(settings: Settings, roles: Iterable[str]) -> dict[str, Path]:
    """The folders that these roles write to, by the setting that names each.

    Args:
        settings: of the service.
        roles: those of the workers, and `console`.
    """
    roles = set(roles)
    found: dict[str, Path] = {}
    if roles & {"fingerprint", "decide"}:
        found["worker.data_folder"] = settings.worker.data_folder
    if "fingerprint" in roles:
        found["TMPDIR"] = Path(gettempdir())
        if settings.decode.spool_folder is not None:
            found["decode.spool_folder"] = settings.decode.spool_folder
    if "library" in roles:
        found["library.snapshot_folder"] = settings.library.snapshot_folder
    if "console" in roles and (database := settings.console.database_file) is not None:
        found["console.database_url"] = database.parent
    return found


class DiskMetrics(Collector):
    """Looks at each scrape; called from another thread."""

    def __init__(self) -> None:
        self._shown: list[Mapping[str, Path]] = []

    @contextmanager
    def of(self, folders: Mapping[str, Path]) -> Iterator[None]:
        """Show the disks of these folders for the time of the block."""
        self._shown.append(folders)
        try:
            yield
        finally:
            self._shown.remove(folders)

    def describe(self) -> list[GaugeMetricFamily]:
        """The metrics, without a value."""
        return [
            GaugeMetricFamily(
                "samesource_disk_free_bytes",
                "Bytes that this user can still write, on the disk of a folder of the settings",
                labels=["folder"],
            ),
            GaugeMetricFamily(
                "samesource_disk_size_bytes", "Bytes of that disk in all", labels=["folder"]
            ),
        ]

    def collect(self) -> list[GaugeMetricFamily]:
        """How it is now; a folder that isn't there has no figure."""
        free, size = metrics = self.describe()
        # Copies: on other threads workers come and go meanwhile.
        folders = {name: each for shown in [*self._shown] for name, each in shown.items()}
        for name, folder in folders.items():
            try:
                usage = shutil.disk_usage(folder)
            except OSError:
                continue
            free.add_metric([name], usage.free)
            size.add_metric([name], usage.total)
        return metrics


DISK_METRICS = DiskMetrics()
REGISTRY.register(DISK_METRICS)

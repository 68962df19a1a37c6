"""A progress bar by rich: ``with rich_bar("holiday.mp4") as show: upload(…, progress=show)``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Callable, Iterator, Optional

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from qqchunk import Progress


@contextmanager
def rich_bar(name: str, console: Optional[Console] = None) -> Iterator[Callable[[Progress], None]]:
    """Give a callback for the upload's *progress*, and a bar as long as the block lasts."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Bars(*columns, console=console) as bars:
        task = bars.add_task(name, total=None)

        def show(progress: Progress) -> None:
            bars.update(
                task, description=f"{name} ({progress.stage})",
                completed=progress.uploaded_bytes, total=progress.total_bytes)

        yield show

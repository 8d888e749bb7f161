"""What a report is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from decaf.image import MAX_PIXELS
from decaf.transfer.results import TransferResult

FORMAT = "decaf-transfer-report"


@dataclass(frozen=True)
class Report:
    """An experiment, the photos that it was made with, and how to make it again.

    Attributes
    ----------
    result : TransferResult
        What the protocol gave.
    source : str
        What the photos came from: a folder, an archive, a feature file.
    paths : sequence of str
        (N,) path of each row of the features, as ``decaf.features.open_photo`` takes it.
    features : dict of str to str
        What made the features, in words: network, layer, and so on.
    info : dict
        The same for programs, as JSON can hold it: ``DecafNet.info()``.
    failed : sequence of (str, str)
        Path and reason of each photo that could not be read.
    command : str
        What to type to make the same report again.
    thumbnails : bool
        Whether photos are opened, by their paths, to be shown.
    max_pixels : int
        Larger ones are not shown.
    """

    result: TransferResult
    source: str
    paths: Sequence[str] = field(repr=False)
    features: dict[str, str]
    info: dict[str, Any] = field(repr=False)
    failed: Sequence[tuple[str, str]] = ()
    command: str = ""
    thumbnails: bool = True
    max_pixels: int = MAX_PIXELS

    def to_dict(self) -> dict[str, Any]:
        """Return the report's numbers, as JSON can hold them.

        Returns
        -------
        dict
            ``format``, ``version``, ``source``, ``photos`` (how many could be read), ``failed``,
            ``features``, ``result`` (see ``TransferResult.to_dict``, whose mistakes get the
            ``path`` of their photo).
        """
        result = self.result.to_dict()
        for mistake in result["mistakes"]:
            mistake["path"] = self.paths[mistake["photo"]]
        return {
            "format": FORMAT,
            "version": 1,
            "source": self.source,
            "command": self.command,
            "photos": len(self.paths),
            "failed": [{"path": path, "reason": reason} for path, reason in self.failed],
            "features": self.info,
            "result": result,
        }

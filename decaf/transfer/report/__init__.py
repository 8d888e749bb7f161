"""An experiment as a folder to look at and to keep: one page, and its numbers.

    report/index.html    the page: everything in one file, pictures too, no scripts
    report/report.json   the numbers, for programs

A map, in the order in which data flows:

- ``content``: what a report is of: a ``TransferResult``, the photos, what made their features.
- ``tables``: what the page's tables say, out of the result.
- ``pictures``: pictures as parts of a page.
- ``page`` (``sections``, ``markup``, ``style``): the page.
- ``place``: where it may be written, ``json_text``: how the numbers are.
- ``write``: the folder, whole or not at all.
"""

from __future__ import annotations

from decaf.transfer.report.content import Report
from decaf.transfer.report.page import page
from decaf.transfer.report.place import check_place
from decaf.transfer.report.write import write_report

__all__ = ["Report", "check_place", "page", "write_report"]

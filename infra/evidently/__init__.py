"""Our statistics as parts of an Evidently report. Needs the extra ``report``."""

from __future__ import annotations

import os

# Evidently asks this before it sends anything about its use; the report itself sends nothing.
os.environ.setdefault("DO_NOT_TRACK", "1")

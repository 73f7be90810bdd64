"""The form of what reports return."""

from typing import Any

# Names and numbers, and these in lists and dicts: ready for ``json.dumps``.
Figures = dict[str, Any]

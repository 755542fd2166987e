"""Limits: how much of a reply is ever looked at.

A reply is written by a model, and so in the end by whoever writes into the picture or the prompt.
These bounds keep the work for any text small; what lies past them is left out and noted.
"""

from __future__ import annotations

MAX_CHARACTERS = 100_000
"""Characters of a reply that are read; 2048 tokens are some 8 000. The rest counts as broken off."""

MAX_DEPTH = 24
"""Nested brackets that are kept; deeper ones are skipped. Real replies have five at most."""

MAX_ITEMS = 1_000
"""Targets that are kept of one reply."""

MAX_POINTS = 256
"""Points that are kept of one target."""

MAX_NUMBER = 40
"""Characters of one number; longer ones (a model that repeats 9 for ever) are no numbers."""

MAX_LABEL = 200
"""Characters that are kept of a label."""

MAX_WORDS = 500
"""Characters that are kept of the words beside the coordinates."""

MAX_NOTES = 40
"""Repairs that are listed one by one."""

MAX_RESCANS = 8
"""How often a quotation mark that was never closed may make the reader step back: keeps reading linear."""

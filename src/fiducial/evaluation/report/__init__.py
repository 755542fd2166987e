"""The report of a run: one page without scripts or outside requests, and the same in Markdown."""

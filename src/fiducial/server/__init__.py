"""Services behind HTTP: what is asked by programs elsewhere; for this machine alone unless a key is set."""

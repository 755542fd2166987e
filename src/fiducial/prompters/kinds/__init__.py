"""The kind of a picture: a small network that says it, and what a prompter of named things makes of that."""

"""Subjects of medical pictures: a few names whose masks one small network draws, each in pictures of its own kind."""

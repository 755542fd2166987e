"""Docstrings for the site: Sphinx's roles become code, and an example is a section of examples."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|meth|func|mod|data|attr|exc):`~?([^`]+)`")
_EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)  # griffe knows the plural


class Roles(griffe.Extension):
    """Turns ``:class:`fiducial.Frame``` into its name as code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of an object that was read."""
        if obj.docstring:
            text = _ROLE.sub(r"`\1`", obj.docstring.value).replace("``", "`")
            obj.docstring.value = _EXAMPLE.sub(r"\1Examples:", text)

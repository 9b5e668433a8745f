"""Sphinx configuration (``make docs``). Nothing is downloaded, and warnings are errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polylat

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "polylat"
author = "polylat"
copyright = "the authors of polylat; MIT license"  # noqa: A001 - Sphinx's name
version = release = polylat.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
autosummary_generate = False
source_suffix = {".md": "markdown"}
root_doc = "index"
nitpicky = True

myst_enable_extensions = ["attrs_block", "deflist"]
myst_heading_anchors = 3

# In docstrings, single backquotes mark parameters and names of polylat: code.
default_role = "code"
add_module_names = False
autodoc_typehints = "none"  # numpydoc's sections describe the types; signatures would be too long
autodoc_member_order = "groupwise"
autodoc_class_signature = "separated"  # users do not construct results
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_title = "polylat"
html_static_path = ["_static"]
html_css_files = ["polylat.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b57a4", "color-brand-content": "#0b57a4"},
    "dark_css_variables": {"color-brand-primary": "#7ab8ff", "color-brand-content": "#7ab8ff"},
}


def _without_the_last_blank_line(_: Sphinx, __: str, source: list[str]) -> None:
    """Remove the blank line that doctest needs at the end of a block."""
    source[0] = re.sub(r"(```pycon\n.*?)\n\n( *```\n)", r"\1\n\2", source[0], flags=re.DOTALL)


def setup(app: Sphinx) -> None:
    """Register the source filter with Sphinx."""
    app.connect("source-read", _without_the_last_blank_line)

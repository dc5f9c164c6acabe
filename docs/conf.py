"""Sphinx: the chapters of examples/ as pages and notebooks. `make book` builds them into build/book."""

import tinygrad_rnn

project = "tinygrad_rnn"
author = "The tinygrad_rnn contributors"
copyright = author
release = tinygrad_rnn.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx_gallery.gen_gallery"]
# A solution bears the name of its chapter on purpose; solutions are no pages.
suppress_warnings = ["sphinx_gallery.duplicate_filename"]
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "description": "Recurrent networks from scratch"}
html_show_sourcelink = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "chapters",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"__init__|solutions",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "abort_on_example_error": True,
    "show_signature": False,
}

"""Settings of Sphinx for the site; `python -m docs.build` runs it."""

project = "ROOTS-TF"
author = "the authors of ROOTS-TF"
extensions = ["myst_parser"]
root_doc = "README"
html_theme = "furo"
html_title = "ROOTS-TF"
html_show_copyright = False
html_show_sphinx = False
highlight_language = "none"
# Anchors of headings are those of code hosts; a link to one that is not there is a warning, which
# `--fail-on-warning` makes an error.
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]

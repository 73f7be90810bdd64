"""The documentation site: `make docs` builds it, notebooks executed, and no warning passes."""

import importlib.metadata

project = "tfmot_mltq"
release = importlib.metadata.version("tfmot-mltq")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_show_copyright = False
html_title = f"{project} {release}"
exclude_patterns = ["_build"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
# TensorFlow's start-up messages.
nb_output_stderr = "remove"
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
# "#anchor" and files of the repository outside of this folder.
suppress_warnings = ["myst.xref_missing"]

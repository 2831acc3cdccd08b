"""Sphinx's configuration. `make docs` builds the site into site/; a warning fails the build."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import mmedc  # noqa: E402 (the checkout comes before an installed version)
from docs.generate import write_all  # noqa: E402

write_all()

project = "mmedc"
version = release = mmedc.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_generated/*.md"]
nb_execution_mode = "off"  # the outputs are stored; a test runs the notebook
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a generated part may begin below the level of its page
default_role = "literal"  # docstrings write `names` as Markdown does
add_module_names = False
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = "mmedc"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
templates_path: list[str] = []

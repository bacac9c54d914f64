"""Settings of the documentation site: `make docs` builds it into docs/_build/html, with warnings as errors."""

import re
from pathlib import Path

import jupytext
import nbformat

import meta_gan

project = "meta-gan"
author = "the authors of meta-gan"
version = release = meta_gan.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "tutorials/*.ipynb"]
# The tutorials are run by tests/test_tutorials.py, and by hand for their pictures; not by every build of the site.
nb_execution_mode = "off"
html_theme = "furo"
html_title = f"meta-gan {version}"
# Headings down to this level can be linked to, as on code hosts.
myst_heading_anchors = 4

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_inherit_docstrings = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Reference", "References")]
autodoc_type_aliases = {"ArrayLike": "ArrayLike", "Tensor": "Tensor", "Tree": "Tree"}
python_use_unqualified_type_names = True

MARKUP = re.compile(r"(?<![\w*\\`])\*{1,2}(?=[\w`])|\|")
"""Stars before a word, as in `float[n, *example]`, and bars, as in |x - y|: markup for reStructuredText alone."""


def escape(app, what, name, obj, options, lines):
    """Escape what a docstring does not mean as markup, in place; the lines of examples stay as they are."""

    def escaped(line):
        return line if line.lstrip().startswith((">>>", "...")) else MARKUP.sub(_escaped, line)

    lines[:] = [escaped(line) for line in lines]


def _escaped(found):
    return "".join("\\" + character for character in found[0])


def link_on_site(app, docname, source):
    """Turn links to files beside this folder into links to the pages that include them."""
    for name in ("SECURITY", "CHANGELOG"):
        source[0] = source[0].replace(f"](../{name}.md", f"]({name.lower()}.md")


INSTALL = """# Colab does not have meta_gan: upload its wheel (`python -m build` makes it) to the session's files first.
import importlib.util

if importlib.util.find_spec("meta_gan") is None:
    %pip install --quiet meta_gan-*.whl"""


def notebook(path):
    """Return a tutorial as a Jupyter notebook, with a cell before all others that installs the package in Colab."""
    made = jupytext.read(path, fmt="md:myst")
    made.cells.insert(0, nbformat.v4.new_code_cell(INSTALL, id="install"))
    for cell in made.cells:
        if cell.cell_type == "markdown":  # the pictures of the page, which the notebook draws itself
            cell.source = re.sub(r"(?m)^!\[.*\]\(.*\.png\)$", "", cell.source)
    return made


def write_notebooks(app):
    """Write every tutorial as a notebook beside its text, to be downloaded from its page."""
    for path in sorted((Path(app.srcdir) / "tutorials").glob("*.md")):
        nbformat.write(notebook(path), path.with_suffix(".ipynb"))


def link_static_page(app, env, added, changed, removed):
    """Link the page that docs/browser/build.py makes if it is in the site; read anew, as it may have come or gone."""
    if Path(app.outdir, "browser", "index.html").is_file():
        app.tags.add("browser_page")
    return ["browser"]


def setup(app):
    """Connect the functions above; that of docstrings comes before napoleon, whose priority is 500."""
    app.connect("builder-inited", write_notebooks)
    app.connect("env-get-outdated", link_static_page)
    app.connect("autodoc-process-docstring", escape, priority=400)
    app.connect("source-read", link_on_site)

"""What the documentation takes from elsewhere in the project when it is built, so that it is written once.

measured.md, changes.md, contributing.md    bench/RESULTS.md, CHANGELOG.md and CONTRIBUTING.md as they are
examples.md                                 the READMEs and programs of examples/, one after the other
<!-- measured: CASE -->                     the rows that RESULTS.md has for a case
<!-- version -->                           the version, its changes, and the repository where that is known
<!-- picture: NAME -->                      assets/NAME.svg, drawn in the page, so that it has the page's colours
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

TOP = Path(__file__).parent.parent
ELSEWHERE = {
    "measured.md": TOP / "bench/RESULTS.md",
    "results.svg": TOP / "bench/results.svg",
    "changes.md": TOP / "CHANGELOG.md",
    "contributing.md": TOP / "CONTRIBUTING.md",
}
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml"}
PICTURE = re.compile(r"<!-- picture: ([\w-]+) -->")
MEASURED = re.compile(r"<!-- measured: ([\w-]+) -->")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere."""
    for name, path in ELSEWHERE.items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    files.append(File.generated(config, "examples.md", content=examples()))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have every page say of which version it is."""
    config.site_name = f"{config.site_name} {version()}"
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put pictures, and what was measured, where a page asks for them."""
    markdown = markdown.replace("<!-- version -->", about())
    # A block of its own: what is in it is then left as it is.
    markdown = PICTURE.sub(lambda match: f"<div>{(TOP / f'docs/assets/{match[1]}.svg').read_text()}</div>", markdown)
    return MEASURED.sub(lambda match: measured(match[1]), markdown)


def version() -> str:
    """The package's; it is not imported for that."""
    text = (TOP / "provider/pulumi_iofog/__init__.py").read_text()
    return str(re.findall(r'^__version__ = "(.*)"$', text, re.MULTILINE)[0])


def about() -> str:
    """One line for the first page."""
    where = repository()
    return f"Version {version()} · [Changes](changes.md)" + (f" · [Repository]({where})" if where else "")


def repository() -> str:
    """$REPOSITORY_URL, else where this checkout was cloned from, if a browser can go there; else nothing."""
    argv = ["git", "-C", str(TOP), "remote", "get-url", "origin"]
    given = os.environ.get("REPOSITORY_URL")
    found = given or subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    return found.removesuffix(".git") if found.startswith("https://") and "@" not in found else ""


def examples() -> str:
    """A section for each example: what its README says, and its files."""
    parts = ["# Examples", "Each is a folder of `examples/` with its own Pulumi program; the tests run them."]
    for readme in sorted((TOP / "examples").glob("*/README.md")):
        parts.append(f"#{readme.read_text()}")
        for path in sorted(path for path in readme.parent.iterdir() if path.suffix in LANGUAGES):
            if path.name != "Pulumi.yaml":
                parts.append(f'```{LANGUAGES[path.suffix]} title="{path.name}"\n{path.read_text().rstrip()}\n```')
    return "\n\n".join(parts) + "\n"


def measured(case: str) -> str:
    """A case's rows of the table "Seconds and bytes", as a table of its own.

    Raises KeyError for a case that was not measured.
    """
    text = ELSEWHERE["measured.md"].read_text()
    rows = re.search(rf"^\| `{re.escape(case)}` \|.*\n(?:\|  \|.*\n)*", text, re.MULTILINE)
    if rows is None:
        raise KeyError(f"{case}: bench/RESULTS.md has no such case")
    head = "| way | seconds | MB each | × the provider's time |\n|---|---:|---:|---:|\n"
    return head + re.sub(r"^\| [^|]* (?=\|)", "", rows[0], flags=re.MULTILINE)

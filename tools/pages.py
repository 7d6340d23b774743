"""A hook of MkDocs: the repository's own pages and files, as the site has them.

README.md becomes the first page, CONTRIBUTING.md and CHANGELOG.md pages beside it. Any other file
outside ``docs`` that a page links to is copied into the site's folder ``files``. The gallery gets
its players and spectrograms.
"""

import os
import re
from pathlib import Path, PurePosixPath

import gallery
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HOME = Path(__file__).parents[1]
PAGES = {name: name for name in ("CONTRIBUTING.md", "CHANGELOG.md")} | {"README.md": "index.md"}
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def of_the_site(link: str, source: str) -> str:
    """A link of the file ``source`` as one of the site, from where its page is there."""
    if "://" in link:
        return link
    path = os.path.normpath(PurePosixPath(source).parent / link)
    if path in PAGES:
        there = PAGES[path]
    else:
        inside = path.startswith("docs/") and path != "docs/leaderboard.html"
        there = path.removeprefix("docs/") if inside else f"files/{path}"
    here = PurePosixPath(source).parent
    return os.path.relpath(there, here.relative_to("docs") if source.startswith("docs/") else ".")


def rewritten(text: str, source: str) -> str:
    """``text`` of the file ``source`` with links of the site."""
    return LINK.sub(lambda m: m[1] + of_the_site(m[2], source) + m[3], text)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and what they link to."""
    for source, name in PAGES.items():
        text = rewritten((HOME / source).read_text("utf-8"), source)
        files.append(File.generated(config, name, content=text))
    for page in list(files.documentation_pages()):
        if page.src_uri in PAGES.values():
            text = page.content_string
        else:
            text = rewritten(page.content_string, f"docs/{page.src_uri}")
        for _, link, _ in LINK.findall(text):
            there = os.path.normpath(PurePosixPath(page.src_uri).parent / link)
            if there.startswith("files/") and not files.get_file_from_path(there):
                origin = HOME / there.removeprefix("files/")
                files.append(File.generated(config, there, abs_src_path=str(origin)))
    for name, picture in gallery.pictures().items():
        files.append(File.generated(config, f"gallery/{name}", content=picture))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of the pages under ``docs``; those of the others are rewritten already."""
    generated = page.file.src_uri in PAGES.values()
    return markdown if generated else rewritten(markdown, f"docs/{page.file.src_uri}")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The gallery's page with its players."""
    return gallery.filled(html) if page.file.src_uri == "gallery.md" else html


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """The theme's search has no name for those who do not see it."""
    dialog = 'data-md-component="search" role="dialog"'
    return output.replace(dialog, f'{dialog} aria-label="Search"')

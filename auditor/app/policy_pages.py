"""
The pages of `docs/policies`, made from the shipped packs so that the two can not drift.

`python -m auditor.app.policy_pages` writes them, and takes away what is no longer one of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from auditor import config
from auditor.reporter.policy_page import PolicyPage, render, render_index

FOLDER: Final = Path("docs", "policies")


def pages() -> dict[str, str]:
    """Return the text of every page by its path below `docs/policies`."""
    folder = config.shipped("policies")
    names = sorted(f"pack:{path.name}" for path in folder.iterdir() if path.is_dir())
    project = config.load_readable(config.Request(folder=folder, paths=names, environ={}, choose=False)).value
    found = []
    for pack in project.packs if project else ():
        variables = {name: each for file in pack.files.values() for name, each in file.variables.items()}
        for file, document in pack.files.items():
            found += [
                PolicyPage(
                    pack=pack.id,
                    pack_title=pack.title,
                    id=check_id,
                    file=file.replace("pack:", "policies/"),
                    check=check,
                    variables=variables,
                    locals=document.locals,
                    queries=document.queries,
                )
                for check_id, check in document.checks.items()
            ]
    kinds, frameworks = config.shipped_kinds(), config.shipped_frameworks()
    texts = {f"{page.pack}/{page.id}.md": render(page, kinds, frameworks) for page in found}
    return {"README.md": render_index(found), **texts}


if __name__ == "__main__":
    made = pages()
    for path in FOLDER.rglob("*.md"):
        if path.relative_to(FOLDER).as_posix() not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text, encoding="utf-8")

"""Names lines of Markdown, Rust, every Cargo.toml, the Makefile and template.yaml that have more
than 100 columns; exits with 1 if there are any.

Left out: Markdown's tables and code blocks, the targets of links, and addresses, which cannot be
broken. rustfmt sees to Rust code, so that what is left of it are comments and strings.
"""

import re
import subprocess
import sys

MOST = 100
FILES = ["*.md", "*.rs", "*Cargo.toml", "Makefile", "template.yaml"]
TARGET = re.compile(r"\]\([^)]*\)")
ADDRESS = re.compile(r"\S*://\S*")


def columns(line: str) -> int:
    return len(ADDRESS.sub("", TARGET.sub("]", line.rstrip("\n"))))


def long_lines(path: str):
    is_markdown, in_code = path.endswith(".md"), False
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if is_markdown and line.lstrip().startswith("```"):
                in_code = not in_code
            elif in_code or is_markdown and line.lstrip().startswith("|"):
                continue
            elif columns(line) > MOST:
                yield number, columns(line)


def main() -> int:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *FILES]
    paths = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    found = 0
    for path in sorted(set(filter(None, paths))):
        try:
            for number, count in long_lines(path):
                print(f"{path}:{number}: {count} columns, more than {MOST}", file=sys.stderr)
                found += 1
        except FileNotFoundError:  # removed, and not committed yet
            continue
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

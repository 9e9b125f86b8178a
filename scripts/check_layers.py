"""Checks what `src/lib.rs` promises: no module of the library uses one that stands above it in its
table, no files use each other in a circle, and a crate that only some modules know stays there.
Tests within files may use anything.

usage: check_layers.py
"""

import re
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src"

# The modules that may use a crate.
KNOWN_BY = {
    "aws_sdk_dynamodb": {"store", "aws", "setup"},
    "aws_sdk_secretsmanager": {"aws"},
    "aws_sdk_sqs": {"aws"},
    "aws_sdk_ssm": {"aws"},
    "lambda_runtime": {"exporter", "reconcile"},
    "lapin": {"queue"},
    "reqwest": {"rest", "history"},
}

# What a module may not use although it stands below.
STRANGERS = {"store": {"ably"}, "backfill": {"ingest", "lambda"}}


def layers() -> list[set[str]]:
    """The rows of the table in lib.rs, from the top down."""
    rows = re.findall(r"^//! \| (.*?) \|", (SRC / "lib.rs").read_text(), re.MULTILINE)
    return [set(re.findall(r"`(\w+)`", row)) for row in rows if "`" in row]


def module_of(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(SRC).with_suffix("").parts
    return parts[:-1] if parts[-1] == "mod" else parts


def imports(text: str) -> list[tuple[str, ...]]:
    """Every path below `crate`, groups taken apart: a::{b, c::d} is a::b and a::c::d."""

    def split(tree: str) -> list[tuple[str, ...]]:
        found, depth, start = [], 0, 0
        for at, char in enumerate(tree + ","):
            depth += (char == "{") - (char == "}")
            if char == "," and depth == 0:
                part = tree[start:at].strip()
                start = at + 1
                if not part:
                    continue
                head, brace, rest = part.partition("{")
                names = tuple(re.findall(r"\w+", head.split(" as ")[0]))
                inner = split(rest.rstrip()[:-1]) if brace else [()]
                found += [names + more for more in inner]
        return found

    uses = re.findall(r"\bcrate::([\w:]*(?:\{[^;]*\})?)", text)
    return [path for use in uses for path in split(use)]


def code(path: Path) -> str:
    text = path.read_text().split("#[cfg(test)]\nmod tests")[0]
    return re.sub(r"""'"'|"(?:[^"\\]|\\.)*"|//.*""", "", text)


def graph() -> dict[Path, set[Path]]:
    files = [path for path in SRC.rglob("*.rs") if "bin" not in path.parts]
    files = [path for path in files if path.name not in ("main.rs", "lib.rs", "tests.rs")]
    by_module = {module_of(path): path for path in files}
    edges: dict[Path, set[Path]] = {}
    for path in files:
        own, text = module_of(path), code(path)
        used = imports(text)
        for up, rest in re.findall(r"\b((?:self|super)::(?:super::)*)([\w:]*(?:\{[^;]*\})?)", text):
            base = own[: len(own) - up.count("super")]
            used += [base + more for more in imports("crate::" + rest)]
        for child in re.findall(r"^(?:pub(?:\([^)]*\))? )?use (\w+)::", text, re.MULTILINE):
            used.append((*own, child, "_"))
        found = set()
        for name in used:
            while name and name not in by_module:
                name = name[:-1]
            if name and by_module[name] != path:
                found.add(by_module[name])
        edges[path] = found
    return edges


def circles(edges: dict[Path, set[Path]]) -> list[list[Path]]:
    """The circles, one for each strongly connected set of files."""
    index, low, stack, found = {}, {}, [], []

    def visit(node: Path) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def main() -> None:
    floors = {name: floor for floor, names in enumerate(layers()) for name in names}
    edges, wrong = graph(), []
    for path, used in sorted(edges.items()):
        own = module_of(path)[0]
        if own not in floors:
            wrong.append(f"src/lib.rs: its table lacks {own}")
            continue
        for other in sorted(used):
            name = module_of(other)[0]
            if name in STRANGERS.get(own, ()):
                wrong.append(f"src/{path.relative_to(SRC)} is to know nothing of {name}")
            if name != own and floors.get(name, -1) <= floors[own]:
                wrong.append(f"src/{path.relative_to(SRC)} uses {name}, which is not below {own}")
        text = code(path)
        for crate, modules in KNOWN_BY.items():
            if own not in modules and re.search(rf"\b{crate}::", text):
                wrong.append(f"src/{path.relative_to(SRC)} uses {crate}, of {sorted(modules)}")
        if own in ("ably", "chat") and re.search(r"\baws_\w+::|\basync fn\b", text):
            wrong.append(f"src/{path.relative_to(SRC)} is to know nothing of AWS, nor to wait")
    for circle in circles(edges):
        names = ", ".join(str(path.relative_to(SRC)) for path in circle)
        wrong.append(f"a circle of files in src: {names}")
    if wrong:
        sys.exit("\n".join(dict.fromkeys(wrong)))


if __name__ == "__main__":
    main()

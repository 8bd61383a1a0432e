"""Which room of the library imports which. ``python tests/house.py`` draws the picture of it, docs/house.svg, anew."""

import ast
from html import escape
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LIBRARY = PROJECT / "footpass_lib"
PICTURE = PROJECT / "docs" / "house.svg"
# Place of a room on its floor, from left to right, and what it is for.
ROOMS = {
    "commands": (0.25, "the command line"),
    "book": (0.78, "runs and shows the notebooks"),
    "study": (0.55, "the paper's numbers, profiles, stages"),
    "spotting": (0.66, "logits, peaks, written events"),
    "training": (0.885, "one loop, losses, schedule"),
    "plots": (0.37, "every figure"),
    "models": (0.76, "X3D, TAAD, GNN, DST"),
    "synthetic": (0.095, "tracking, files"),
    "rescoring": (0.295, "learned, from other matches"),
    "replay": (0.565, "a detector, on other matches"),
    "postprocessing": (0.63, "gates, refine, merge"),
    "samples": (0.86, "clips, tokens, windows"),
    "events": (0.44, "who did what, when; scores"),
    "data": (0.74, "a match as arrays; video"),
    "synthetic/picture": (0.095, "camera, players drawn"),
    "synthetic/play": (0.095, "the match, simulated"),
}
BASE = ("schema", "files", "workers", "environment")  # beneath everything; arrows to them are not drawn
WIDTH, FLOOR, BOX, HEIGHT = 1000, 86, (178, 44), 24


def room_of(module: str) -> str:
    """The package that a module of the library is in, or the module where it stands at the top."""
    first, *rest = module.split(".")[1:] or ["footpass_lib"]
    return f"{first}/{rest[0]}" if first == "synthetic" and rest and rest[0] in ("play", "picture") else first


def imports(path: Path) -> set[str]:
    """Modules of the library that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "footpass_lib":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                place = LIBRARY.joinpath(*inner.split(".")[1:])
                found.add(inner if place.with_suffix(".py").is_file() or place.is_dir() else node.module)
    found.discard("footpass_lib")  # whose version is asked for
    return found


def arrows() -> set[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second."""
    pairs = set()
    for path in LIBRARY.rglob("*.py"):
        name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        pairs |= {(room_of(name), room_of(module)) for module in imports(path)}
    return {(a, b) for a, b in pairs if a != b}


def floors(pairs: set[tuple[str, str]]) -> dict[str, int]:
    """Floor of each room: one above the highest that it imports."""
    below = {room: {b for a, b in pairs if a == room} for room in {room for pair in pairs for room in pair}}
    level: dict[str, int] = {}
    while len(level) < len(below):
        ready = {room for room, needs in below.items() if room not in level and needs <= level.keys()}
        if not ready:
            raise ValueError(f"a circle of imports among {sorted(below.keys() - level.keys())}")
        level |= {room: 1 + max((level[b] for b in below[room]), default=-1) for room in ready}
    return level


def drawn(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Arrows among rooms that no longer way says already."""
    pairs = {(a, b) for a, b in pairs if a in ROOMS and b in ROOMS}
    below = {a: {b for x, b in pairs if x == a} for a in ROOMS}

    def reached(room: str) -> set[str]:
        return below[room].union(*(reached(b) for b in below[room]))

    return {(a, b) for a, b in pairs if not any(b in reached(c) for c in below[a] - {b})}


def picture() -> str:
    """The house as an SVG."""
    pairs = arrows()
    level = {room: height for room, height in floors(pairs).items() if room in ROOMS}
    heights = sorted(set(level.values()), reverse=True)
    place = {room: (ROOMS[room][0] * WIDTH, HEIGHT + heights.index(level[room]) * FLOOR) for room in level}
    bottom = HEIGHT + len(heights) * FLOOR
    lines = []
    for a, b in sorted(drawn(pairs)):
        (x1, y1), (x2, y2) = place[a], place[b]
        lines.append(
            f'<line x1="{x1:.0f}" y1="{y1 + BOX[1]:.0f}" x2="{x2:.0f}" y2="{y2 - 3:.0f}" marker-end="url(#tip)"/>'
        )
    boxes = [_box(x, y, room, ROOMS[room][1]) for room, (x, y) in sorted(place.items())]
    base = f"{', '.join(BASE)}: used by all of them"
    boxes.append(f'<rect x="10" y="{bottom}" width="{WIDTH - 20}" height="30" rx="5" class="base"/>')
    boxes.append(f'<text x="{WIDTH / 2:.0f}" y="{bottom + 20}">{base}</text>')
    style = (
        "text{font:13px sans-serif;text-anchor:middle;fill:#1b2733}.name{font-weight:bold;font-size:14px}"
        "rect{fill:#eef4fa;stroke:#4a7aa8}.base{fill:#f3f3f0;stroke:#999}line{stroke:#8a97a5;stroke-width:1.3}"
    )
    tip = '<marker id="tip" markerWidth="9" markerHeight="9" refX="7" refY="4" orient="auto">'
    tip += '<path d="M0,0.5 L8,4 L0,7.5 z" fill="#8a97a5"/></marker>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 40}" role="img">'
    title = "<title>Rooms of footpass_lib; an arrow points at what a room imports</title>"
    background = f'<rect width="{WIDTH}" height="{bottom + 40}" style="fill:#fff;stroke:none"/>'
    return (
        "\n".join([head, title, f"<style>{style}</style><defs>{tip}</defs>", background, *lines, *boxes, "</svg>"])
        + "\n"
    )


def _box(x: float, y: float, name: str, text: str) -> str:
    wide, high = max(BOX[0], 7 * len(text)), BOX[1]
    rectangle = f'<rect x="{x - wide / 2:.0f}" y="{y}" width="{wide}" height="{high}" rx="6"/>'
    label = f'<text x="{x:.0f}" y="{y + 18}" class="name">{name}</text>'
    return f'{rectangle}{label}<text x="{x:.0f}" y="{y + 36}">{escape(text)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")

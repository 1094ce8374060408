"""chart - draw instructions per I/O by lane and size."""

import pygal
from pygal.style import DefaultStyle

LOWEST = 1000


def _wanted(cell):
    """Sizes with 32 transfers in flight, and the smallest with one."""
    return cell["depth"] == 32 or cell["block_bytes"] == 4096


def _label(cell):
    size = cell["name"].split("-")[0]
    return f"{size} {cell['direction']}" + (", one" if cell["depth"] == 1 else "")


def _ticks(highest):
    found = []
    step = LOWEST
    while not found or found[-1] < highest:
        found += [step, 2 * step, 5 * step]
        step *= 10
    return [n for n in found if n <= highest]


def draw(machine, path):
    """machine: as in results.json."""
    cells = sorted((c for c in machine["cells"] if _wanted(c)),
                   key=lambda c: (c["depth"], c["block_bytes"], c["direction"]))
    lanes = [lane["name"] for lane in machine["lanes"]
             if any(lane["name"] in c["lanes"] for c in cells)]
    if not cells:
        return
    rows = {lane: [round(c["lanes"][lane]["instructions_per_io"]["median"])
                   if lane in c["lanes"] else None for c in cells] for lane in lanes}
    highest = max(n for row in rows.values() for n in row if n)
    # Nothing from other machines: no script, no font.
    bars = pygal.Bar(js=[], style=DefaultStyle(font_family="sans-serif", background="white",
                                               plot_background="white"),
                     width=1500, height=700, logarithmic=True, zero=LOWEST,
                     range=(LOWEST, highest), y_labels=_ticks(highest),
                     title=f"Instructions per I/O, logarithmic; IOMMU {machine['iommu']}, kernel "
                     f"{machine['kernel']}; 32 in flight, or one")
    bars.x_labels = [_label(c) for c in cells]
    for lane, row in rows.items():
        bars.add(lane, row)
    bars.render_to_file(path)

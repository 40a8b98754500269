"""Bars of some of the bench's rows, as an SVG: two numbers can be compared at a glance, a table's not."""
from xml.sax.saxutils import escape

WIDTH, BAR, GAP, LEFT, RIGHT = 760, 15, 5, 230, 90
# The groups that are drawn, by how they begin; and of each the rows that are ours.
GROUPS = ["cold", "warm", "commands", "stream out", "stream in"]
OURS, OTHERS, LIMIT = "#2f6f4f", "#9aa5b1", "#d0b46a"
LIMITS = ("true", "hello", "local")


def colour(name):
    if name.startswith("afar"):
        return OURS
    return LIMIT if name.startswith(LIMITS) else OTHERS


def write(path, machine, rows):
    y = 24
    parts = []
    for wanted in GROUPS:
        shown = [row for row in rows if row["group"].startswith(wanted) and "value" in row]
        if not shown:
            continue
        better = "less is better" if shown[0]["better"] == "less" else "more is better"
        parts.append(f'<text x="8" y="{y}" class="head">{escape(shown[0]["group"])} ({shown[0]["unit"]}; '
                     f'{better})</text>')
        y += 10
        # One bar may be much longer than all others: it is cut, and says so.
        values = sorted(row["value"] for row in shown)
        longest = min(values[-1], 2.5 * values[len(values) // 2])
        for row in shown:
            length = (WIDTH - LEFT - RIGHT) * min(row["value"], longest) / longest
            cut = " »" if row["value"] > longest else ""
            parts.append(f'<text x="{LEFT - 8}" y="{y + BAR - 3}" text-anchor="end">{escape(row["name"])}</text>'
                         f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour(row["name"])}"/>'
                         f'<text x="{LEFT + length + 6:.1f}" y="{y + BAR - 3}">{row["value"]:,.3g}{cut}</text>'
                         if row["value"] < 100 else
                         f'<text x="{LEFT - 8}" y="{y + BAR - 3}" text-anchor="end">{escape(row["name"])}</text>'
                         f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour(row["name"])}"/>'
                         f'<text x="{LEFT + length + 6:.1f}" y="{y + BAR - 3}">{row["value"]:,.0f}{cut}</text>')
            y += BAR + GAP
        y += 22
    about = f'{machine["cores"]} cores, Linux {machine["kernel"]}, OpenSSL {machine["openssl"]}, {machine["date"]}'
    parts.append(f'<text x="8" y="{y}">{escape(about)}; yellow: the limit on this machine</text>')
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 12}" '
                   f'viewBox="0 0 {WIDTH} {y + 12}"><style>text{{font:12px sans-serif;fill:#333}}'
                   f'.head{{font-weight:bold}}</style><rect width="100%" height="100%" fill="#fff"/>\n'
                   + "\n".join(parts) + "\n</svg>\n")

"""Bars of some of the bench's rows, as an SVG: numbers side by side are compared at a glance, a table's not."""
from xml.sax.saxutils import escape

WIDTH, BAR, GAP, LEFT, RIGHT = 760, 15, 5, 250, 100
GROUPS = ("cold", "warm", "commands", "stream out", "stream in", "far out", "terminal: from a key to its echo, by cat",
          "terminal: one whole")  # as they begin
OURS, OTHERS, LIMIT = "#2f6f4f", "#9aa5b1", "#d0b46a"
LIMITS = ("true", "hello", "local", "bare")
STYLE = "text{font:12px sans-serif;fill:#333}.head{font-weight:bold}.swing{stroke:#333;stroke-width:2}"


def colour(name):
    if name.startswith("afar"):
        return OURS
    return LIMIT if name.startswith(LIMITS) else OTHERS


def text(x, y, words, more=""):
    return f'<text x="{x:.0f}" y="{y}"{more}>{escape(words)}</text>'


def bar(y, row, longest):
    """One that is much longer than the others is cut, and says so."""
    value = row["value"]
    length = (WIDTH - LEFT - RIGHT) * min(value, longest) / longest
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    bars = [text(LEFT - 8, y + BAR - 3, row["name"], ' text-anchor="end"'),
            f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="{BAR}" fill="{colour(row["name"])}"/>']
    edge = length
    if "quartiles" in row:
        low, high = ((WIDTH - LEFT - RIGHT) * min(end, longest) / longest for end in row["quartiles"])
        bars.append(f'<path d="M{LEFT + low:.0f} {y + BAR / 2}H{LEFT + high:.0f}" class="swing"/>')
        edge = max(length, high)
    return bars + [text(LEFT + edge + 6, y + BAR - 3, shown + (" »" if value > longest else ""))]


def write(path, machine, rows):
    y = 24
    parts = []
    for wanted in GROUPS:
        shown = [row for row in rows if row["group"].startswith(wanted) and "value" in row]
        if not shown:
            continue
        better = "less is better" if shown[0]["better"] == "less" else "more is better"
        parts.append(text(8, y, f"{shown[0]['group']} ({shown[0]['unit']}, {better})", ' class="head"'))
        y += 10
        values = sorted(row["value"] for row in shown)
        longest = min(values[-1], 2.5 * values[len(values) // 2])
        for row in shown:
            parts += bar(y, row, longest)
            y += BAR + GAP
        y += 22
    parts.append(text(8, y, f"{machine['cores']} cores, Linux {machine['kernel']}, OpenSSL {machine['openssl']}, "
                            f"{machine['date']}; medians and quartiles; yellow: this machine at best"))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 12}" '
                   f'viewBox="0 0 {WIDTH} {y + 12}"><style>{STYLE}</style>'
                   f'<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n")

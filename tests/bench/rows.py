"""What was measured: rows with a number each, and goals, which compare one row with another. Each says how much it
swings: quartiles, of a row's own numbers, or of the ratios of numbers that were taken side by side."""
import json
import statistics
import textwrap

PARTS = 12  # of long lists, each of which gives one ratio
P99_NUMBERS = 100  # in a part at least, where it is the slowest of a hundred that counts


def p99(numbers):
    return sorted(numbers)[int(len(numbers) * 0.99)]


def quartiles(numbers):
    """Lower and upper; of three and fewer, the least and the most."""
    if len(numbers) <= 3:
        return [min(numbers), max(numbers)]
    found = statistics.quantiles(numbers, n=4, method="inclusive")
    return [found[0], found[2]]


def ratios(ours, theirs, statistic=statistics.median):
    """Of two lists in the order of time, that were taken in turns: one for each part of both."""
    most = len(ours) // P99_NUMBERS if statistic is p99 else PARTS
    count = max(2, min(most, PARTS, len(ours), len(theirs)))

    def part(numbers, at):
        return numbers[len(numbers) * at // count:len(numbers) * (at + 1) // count]
    if len(ours) < 2 or len(theirs) < 2:
        return []
    return [statistic(part(ours, at)) / statistic(part(theirs, at)) for at in range(count)
            if statistic(part(theirs, at))]


class Rows:
    def __init__(self):
        self.all = []
        self.numbers = {}  # by group and name, in the order of time

    def add(self, group, name, value, unit, better="less", numbers=(), **more):
        """`numbers`: what `value` was made of. `more`: p99; what it is to be at `most`; or where there are no such
        numbers, `swing`: words."""
        row = {"group": group, "name": name, "value": value, "unit": unit, "better": better, **more}
        if "most" in row:
            row["met"] = value <= row["most"]
        if len(numbers) > 1:
            self.numbers[group, name] = list(numbers)
            row |= {"quartiles": quartiles(numbers), "of": len(numbers)}
        self.all.append(row)

    def medians(self, group, found, unit, better="less"):
        """Lists by name, one number for each round."""
        for name, numbers in found.items():
            self.add(group, name, statistics.median(numbers), unit, better, numbers)

    def times(self, group, found):
        """Lists of microseconds by name; their medians as milliseconds."""
        for name, numbers in found.items():
            ms = [us / 1000 for us in numbers]
            self.add(group, name, statistics.median(ms), "ms", numbers=ms,
                     **({"p99": p99(ms)} if len(ms) >= P99_NUMBERS else {}))

    def value(self, group, name, key="value"):
        """None where there is no such row."""
        return next((row.get(key) for row in self.all
                     if (row["group"], row["name"]) == (group, name) and "value" in row), None)

    def goal(self, group, name, value, base_name, base, bound=None, better="less", swing=(), of=None):
        """`value` is to be at most (or at least) `bound` times `base`; without a bound the ratio is said, and not
        judged. Without one of the values there is nothing to say. `swing`: ratios that were found, `of` so many."""
        if value is None or not base:
            return
        row = {"group": group, "name": name, "base": base_name, "ratio": value / base, "better": better}
        if len(swing) > 1:
            row |= {"quartiles": quartiles(swing), "of": of or len(swing)}
        if bound is not None:
            row["bound"] = bound
            row["met"] = row["ratio"] <= bound if better == "less" else row["ratio"] >= bound
        self.all.append(row)

    def goal_to(self, group, name, base_name, base, bound=None, better="less"):
        """The same of a row and a number that was not measured."""
        numbers = self.numbers.get((group, name), ())
        self.goal(group, name, self.value(group, name), base_name, base, bound, better,
                  [number / base for number in numbers])

    def goal_of(self, group, name, base_name, bound, better="less", key="value"):
        """The same of two rows."""
        what = "" if key == "value" else f" ({key})"
        ours, theirs = (self.numbers.get((group, each), ()) for each in (name, base_name))
        self.goal(group, name + what, self.value(group, name, key), base_name + what,
                  self.value(group, base_name, key), bound, better,
                  ratios(ours, theirs, *([p99] if key == "p99" else [])))

    def show(self, first):
        """Those since the `first`th."""
        group = None
        for row in self.all[first:]:
            if row["group"] != group:
                group = row["group"]
                print(f"\n{group}")
            print("    " + (goal_line(row) if "ratio" in row else value_line(row)))
            if "names" in row:
                print(textwrap.fill(row["names"], 110, initial_indent=" " * 8, subsequent_indent=" " * 8))

    def missed(self):
        return [row for row in self.all if not row.get("met", True)]

    def write(self, path, machine, quick):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "quick": quick, "rows": self.all}, file, indent=1)
            file.write("\n")


def number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"


def swing_of(row, shown):
    if "quartiles" not in row:
        return row.get("swing", "once")
    low, high = row["quartiles"]
    return f"{shown(low)} to {shown(high)}, {row['of']}"


def value_line(row):
    line = f"{row['name']:44} {number(row['value']):>10} {row['unit']:6} ({swing_of(row, number)})"
    if "p99" in row:
        line += f" p99 {number(row['p99'])}"
    if "switches" in row:
        line += f" and {number(row['switches'])} context switches"
    if "most" in row:
        line += f"; to be at most {number(row['most'])}: {'met' if row['met'] else 'NOT MET'}"
    return line


def goal_line(row):
    line = f"{row['name']:44} {row['ratio']:10.3f} x {row['base']} ({swing_of(row, '{:.3g}'.format)})"
    if "bound" in row:
        sign = "at most" if row["better"] == "less" else "at least"
        line += f"; to be {sign} {row['bound']:g}: {'met' if row['met'] else 'NOT MET'}"
        if "quartiles" in row and row["quartiles"][0] <= row["bound"] <= row["quartiles"][1]:
            line += ", within what it swings"
    return line

"""What was measured: rows with a number each, and goals, which compare one row with another."""
import json
import statistics
import textwrap


class Rows:
    def __init__(self):
        self.all = []

    def add(self, group, name, value, unit, better="less", **more):
        """`more`: p99, or low and high."""
        self.all.append({"group": group, "name": name, "value": value, "unit": unit, "better": better, **more})

    def times(self, group, found):
        """Lists of microseconds by name; their medians as milliseconds."""
        for name, numbers in found.items():
            ordered = sorted(numbers)
            self.add(group, name, statistics.median(ordered) / 1000, "ms",
                     p99=ordered[int(len(ordered) * 0.99)] / 1000)

    def speeds(self, group, found, unit):
        """Lists of what is better the more it is, one number for each round."""
        for name, numbers in found.items():
            self.add(group, name, statistics.median(numbers), unit, "more", low=min(numbers), high=max(numbers))

    def value(self, group, name, key="value"):
        """None where there is no such row."""
        return next((row.get(key) for row in self.all
                     if (row["group"], row["name"]) == (group, name) and "value" in row), None)

    def goal(self, group, name, value, base_name, base, bound=None, better="less"):
        """`value` is to be at most (or at least) `bound` times `base`; without a bound the ratio is said, and not
        judged. Without one of the values there is nothing to say."""
        if value is None or not base:
            return
        row = {"group": group, "name": name, "base": base_name, "ratio": value / base, "better": better}
        if bound is not None:
            row["bound"] = bound
            row["met"] = row["ratio"] <= bound if better == "less" else row["ratio"] >= bound
        self.all.append(row)

    def goal_of(self, group, name, base_name, bound, better="less", key="value"):
        """The same of two rows."""
        what = "" if key == "value" else f" ({key})"
        self.goal(group, name + what, self.value(group, name, key), base_name + what,
                  self.value(group, base_name, key), bound, better)

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


def value_line(row):
    line = f"{row['name']:44} {number(row['value']):>10} {row['unit']:6}"
    if "p99" in row:
        line += f" p99 {number(row['p99'])}"
    if "low" in row:
        line += f" ({number(row['low'])} to {number(row['high'])})"
    if "switches" in row:
        line += f" and {number(row['switches'])} context switches"
    return line.rstrip()


def goal_line(row):
    line = f"{row['name']:44} {row['ratio']:10.3f} x {row['base']}"
    if "bound" in row:
        sign = "at most" if row["better"] == "less" else "at least"
        line += f"; to be {sign} {row['bound']:g}: {'met' if row['met'] else 'NOT MET'}"
    return line

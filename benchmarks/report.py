"""Writes docs/benchmarks.md, and the curves beside it, from the rows alone."""
import curves
from limits import LIMITS
from parts import scaling


def write(rows, folder):
    sections = [slower_layers(rows), machine(rows), limits(rows)]
    for part, title, section in (
            ("step", "Training step", networks), ("inference", "Evaluation", networks),
            ("layers", "Layers alone", layers), ("loading", "Loading data", loading),
            ("accuracy", "Time to an accuracy", accuracy),
            ("scaling", "How cost grows", lambda mine: growth(mine, folder)),
            ("footprint", "Footprint", footprint)):
        mine = [row for row in rows if row["part"] == part]
        if mine:
            sections.append(f"## {title}\n\n{section(mine)}\n\n{missing(mine)}".rstrip())
    (folder / "benchmarks.md").write_text("# Benchmarks\n\n" + "\n\n".join(sections) + "\n")


def measured(rows):
    return [row for row in rows if row["ratio"] is not None]


def table(header, lines):
    """Markdown; figures stand to the right."""
    def cells(values):
        return "| " + " | ".join(values) + " |"
    marks = ["---" if index == 0 else "--:" for index in range(len(header))]
    return "\n".join([cells(header), cells(marks), *map(cells, lines)])


def number(value):
    """Three digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if 1 <= value < 10 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def ratio(value):
    return f"{value:.2f}" if value >= 0.095 else f"{value:.3f}"


def with_spread(median, quartiles):
    return f"{number(median)} ({number(quartiles[0])} to {number(quartiles[1])})"


def slower_layers(rows):
    all_layers = measured(row for row in rows if row["part"] == "layers")
    if not all_layers:
        return "Layers alone have not been measured."
    slow = sorted((row for row in all_layers if row["ratio"] > 1), key=lambda row: -row["ratio"])
    peer = all_layers[0]["library"]
    if not slow:
        return f"No layer is slower than {peer}'s, forward or backward, at any of {len(all_layers)} cases."
    lines = [[row["benchmark"], number(row["ours"]), number(row["theirs"]), ratio(row["ratio"])] for row in slow]
    return (f"**Slower than {peer}'s** in {len(slow)} of {len(all_layers)} cases, all others are faster:\n\n"
            + table(["layer and input", "Strata, ms", f"{peer}, ms", "ratio"], lines))


def machine(rows):
    places = sorted({f"{row['processor']}, {row['cores']} cores" for row in rows})
    dates = sorted({row["date"] for row in rows})
    versions = sorted({(row["library"], row["version"]) for row in rows if row["version"]})
    text = "Measured on " + "; ".join(places) + ", " + " to ".join(dict.fromkeys([dates[0], dates[-1]])) + ". " \
        if rows else "Nothing has been measured. "
    return (text + "Peers: " + ", ".join(f"{library} {version}" for library, version in versions) + ".\n\n"
            "`./dev bench` measures everything anew, `./dev bench NAME` a part (step, inference, layers, loading, "
            "accuracy, scaling, footprint), and writes this page and `benchmarks.json`; `./dev peers` installs the "
            "peers. Programs take turns, round by round, on the same work; a figure is the median of all calls, with the "
            "first and the third quartile. A ratio is our time over the peer's: below 1 we are faster. float, "
            "2 threads unless said.")


def limits(rows):
    lines = []
    for limit in LIMITS:
        value = limit.ratio(rows)
        verdict = "not measured" if value is None else "met" if value <= limit.at_most else "**missed**"
        lines.append([limit.what, f"{limit.at_most:.2f}", "" if value is None else ratio(value), verdict])
    return ("## Limits\n\nThe largest ratio wherever several rows count, so the fastest peer and the worst shape.\n\n"
            + table(["", "at most", "measured", ""], lines))


def networks(rows):
    """A table for each benchmark and number of threads."""
    groups = {}
    for row in measured(rows):
        groups.setdefault((row["benchmark"], row["threads"]), []).append(row)
    return "\n\n".join(
        f"### {benchmark}, {threads} thread{'s' if threads > 1 else ''}\n\n" + table(
            ["peer", "batch", "Strata, ms", "peer, ms", "ratio"],
            [[row["peer"], str(row["batch"]), with_spread(row["ours"], row["ours_quartiles"]),
              with_spread(row["theirs"], row["peer_quartiles"]), ratio(row["ratio"])]
             for row in sorted(group, key=lambda row: row["batch"])])
        for (benchmark, threads), group in groups.items())


def layers(rows):
    peak = ("Forward and backward take turns, as in a training step. Before each call our layers' input or gradient, "
            "which they may write over, is made anew by all threads, off the clock; PyTorch's is the same in all calls "
            "and stays in the caches, to its advantage.\n\n"
            "Convolutions: the share of the fastest float matrix product of the same run, by the multiply-adds of the "
            "definition; Winograd's algorithm makes do with fewer, so it may pass 1. Norms: the time over that of a "
            "plain copy (forward) or of dx = dy + x in dy's memory (backward) of as many values, made the same way.")
    lines = [[row["benchmark"], with_spread(row["ours"], row["ours_quartiles"]),
              with_spread(row["theirs"], row["peer_quartiles"]), ratio(row["ratio"]),
              f"{row['peak_share']:.2f} of the peak" if "peak_share" in row else
              f"{row['floor_ratio']:.2f} x the floor" if "floor_ratio" in row else ""]
             for row in measured(rows)]
    peer = measured(rows)[0]["peer"] if lines else "peer"
    return peak + "\n\n" + table(["layer and input", "Strata, ms", f"{peer}, ms", "ratio", "of what is possible"], lines)


def loading(rows):
    how = ("50,000 images of 3x32x32: cropped, mirrored, cut out and standardized by the loader in the background, "
           "against the same step on one batch in memory. What a step waits for its batch is measured beside; with as "
           "many threads as cores the loader, which is told that there is room for another batch, may take the core of "
           "the step that tells it.")
    return how + "\n\n" + table(
        ["", "batch", "threads", "with the loader, ms", "batch at hand, ms", "ratio", "waits, us",
         "99 % wait less, us"],
        [[row["benchmark"], str(row["batch"]), str(row["threads"]), with_spread(row["ours"], row["ours_quartiles"]),
          with_spread(row["theirs"], row["peer_quartiles"]), ratio(row["ratio"]), number(1e3 * row["wait_ms"]),
          number(1e3 * row["wait_ms_99"])] for row in measured(rows)])


def accuracy(rows):
    how = ("Each trains once. They take turns of a few seconds, one stopped while the other runs; the figure is the "
           "time in which it ran, from before the data are read to the end of the epoch that reached the accuracy.")
    return how + "\n\n" + table(
        ["", "peer", "Strata, s", "peer, s", "ratio", "Strata's accuracy", "peer's"],
        [[row["benchmark"], row["peer"], number(row["ours"] / 1e3), number(row["theirs"] / 1e3), ratio(row["ratio"]),
          f"{row['ours_accuracy']:.4f} after {row['ours_epochs']} epochs",
          f"{row['peer_accuracy']:.4f} after {row['peer_epochs']} epochs"] for row in measured(rows)])


def growth(rows, folder):
    per_image, per_work = scaling.curves(rows)
    peer = next((row["peer"] for row in measured(rows)), "PyTorch")
    curves.draw(per_image, per_work, peer, folder / "scaling.svg")
    text = [f"![Time per image and per multiply-add, Strata's and {peer}'s](scaling.svg)",
            f"A cliff is a change of more than {scaling.CLIFF} between neighbors: of the time per image where the batch "
            "grows, of the time per multiply-add where the image or the channels grow."]
    lines = []
    for sweep in per_image:
        points = per_image[sweep] if sweep == "batch" else per_work[sweep]
        for name, column in (("Strata", 1), (peer, 2)):
            found = "; ".join(f"{a} to {b}: {factor:.2f}" for a, b, factor in scaling.cliffs(points, column))
            lines.append([sweep, name, found or "none"])
    text.append(table(["what grows", "", "cliffs, and the factor"], lines))
    text.append(table(
        ["", "batch", "Strata, ms", f"{peer}, ms", "ratio", "Strata, us an image", "Strata, ps a multiply-add"],
        [[row["benchmark"], str(row["batch"]), with_spread(row["ours"], row["ours_quartiles"]),
          with_spread(row["theirs"], row["peer_quartiles"]), ratio(row["ratio"]),
          number(1e3 * row["ours"] / row["batch"]),
          number(1e9 * row["ours"] / row["batch"] / 3 / row["multiply_adds"])] for row in measured(rows)]))
    return "\n\n".join(text)


def footprint(rows):
    return table(
        ["", "peer", "unit", "Strata", "peer", "ratio"],
        [[row["benchmark"], row["peer"], row["unit"], with_spread(row["ours"], row["ours_quartiles"]),
          with_spread(row["theirs"], row["peer_quartiles"]), ratio(row["ratio"])] for row in measured(rows)])


def missing(rows):
    """Each peer and reason once."""
    reasons = {}
    for row in rows:
        if row["ratio"] is None:
            reasons.setdefault((row["peer"], row["missing"]), []).append(row["benchmark"])
    return "\n".join(f"- Not measured: {peer}, {', '.join(dict.fromkeys(benchmarks[:3]))}"
                     + (" and more" if len(dict.fromkeys(benchmarks)) > 3 else "") + f": {reason}"
                     for (peer, reason), benchmarks in reasons.items())

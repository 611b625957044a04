"""Draws how cost grows."""
import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot, ticker

TITLES = {"batch": "vgg training step: batch", "image": "block, 32 channels: side of the image",
          "channels": "block, image 16x16: channels"}


def draw(per_image, per_work, peer, path):
    """A column for each sweep: time per image above, time per multiply-add below."""
    matplotlib.rcParams["svg.hashsalt"] = "strata"  # the same figures make the same file
    sweeps = list(per_image)
    if not sweeps:
        return
    figure, axes = pyplot.subplots(2, len(sweeps), figsize=(4.5 * len(sweeps), 6), squeeze=False)
    for column, sweep in enumerate(sweeps):
        for line, (points, label) in enumerate(((per_image[sweep], "ms an image"),
                                                (per_work[sweep], "ps a multiply-add"))):
            axis = axes[line][column]
            values = [point[0] for point in points]
            axis.plot(values, [point[1] for point in points], "o-", markersize=3, label="Strata")
            axis.plot(values, [point[2] for point in points], "s--", markersize=3, label=peer)
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            axis.xaxis.set_major_formatter(ticker.ScalarFormatter())
            axis.set_ylabel(label)
            axis.grid(True, which="both", linewidth=0.3)
            if line == 0:
                axis.set_title(TITLES[sweep], fontsize=10)
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)

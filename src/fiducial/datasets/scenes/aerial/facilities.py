"""Facilities: storage tanks and the grounds of four sports, from above."""

from __future__ import annotations

import math

import numpy as np

from fiducial.datasets.scenes.aerial.site import Site
from fiducial.datasets.scenes.outlines import Points, Pose, arc, ellipse, rectangle, stadium

TANKS = ((232, 232, 228), (214, 212, 204), (196, 200, 204), (178, 168, 150), (226, 220, 200))
COURTS = ((52, 84, 140), (64, 110, 84), (150, 74, 58), (84, 92, 130))
SURROUNDS = ((72, 112, 82), (150, 82, 62), (104, 108, 108), (60, 84, 74))
DIRT = ((176, 138, 98), (190, 154, 116), (160, 118, 84))
LANES = ((164, 78, 60), (146, 66, 54), (84, 84, 88), (178, 96, 74))
LINE = (228, 230, 228)


def draw_tank(site: Site, pose: Pose) -> None:
    """Draw a storage tank; its scale is its diameter in pixels."""
    rim = pose.place(ellipse(1, 1))
    site.shadow([rim], pose.scale * float(site.rng.uniform(0.12, 0.3)), 0.5)
    thing = site.canvas.new_thing("storage tank", {"diameter": pose.scale})
    shell = site.pick(TANKS)
    site.fill(rim, shell, thing)
    if site.rng.random() < 0.4:  # a floating roof lies deep: one side of it is in the shade of the wall
        site.fill(pose.place(ellipse(0.9, 0.9)), shell * 0.86)
        turn = site.sun - pose.angle + math.pi
        far = np.array([math.cos(turn), math.sin(turn)]) * 0.05
        inner = np.concatenate([arc(0.45, turn - 1.3, turn + 1.3), (arc(0.4, turn - 1.3, turn + 1.3) + far)[::-1]])
        site.fill(pose.place(inner), shell * 0.5)
    else:  # a cone: the half towards the sun is lighter
        turn = site.sun - pose.angle
        half = np.concatenate([arc(0.49, turn - math.pi / 2, turn + math.pi / 2), np.zeros((1, 2))])
        site.fill(pose.place(half), shell * 0.9, opacity=0.8)
        site.fill(pose.place(ellipse(0.08, 0.08)), shell * 0.7)
    site.line(rim, max(0.7, pose.scale * 0.02), np.minimum(shell * 1.06, 255), closed=True, opacity=0.8)
    stair = arc(0.53, pose.angle, pose.angle + 0.7, steps=8)
    site.line(pose.place(stair), max(0.7, pose.scale * 0.02), (110, 108, 104))


def draw_tennis_court(site: Site, pose: Pose, colours: tuple[Points, Points]) -> None:
    """Draw a tennis court: 24 by 11 metres of lines; its scale is pixels per metre.

    Args:
        site: the picture.
        pose: where.
        colours: RGB of the court and of what lies around it; the latter belongs to nobody.
    """
    court, around = colours
    site.fill(pose.place(rectangle(34, 17)), around)
    thing = site.canvas.new_thing("tennis court", {"angle": pose.angle})
    site.fill(pose.place(rectangle(24.6, 11.8)), court, thing)
    lines = [
        rectangle(23.77, 10.97)[[0, 1, 2, 3, 0]],
        np.array([(-11.9, -4.1), (11.9, -4.1)]),
        np.array([(-11.9, 4.1), (11.9, 4.1)]),
        np.array([(-6.4, -4.1), (-6.4, 4.1)]),
        np.array([(6.4, -4.1), (6.4, 4.1)]),
        np.array([(-6.4, 0), (6.4, 0)]),
    ]
    for line in lines:
        site.line(pose.place(line), max(0.7, 0.22 * pose.scale), LINE, opacity=0.85)
    site.line(pose.place([(0, -6.4), (0, 6.4)]), max(0.7, 0.25 * pose.scale), (60, 62, 64), opacity=0.8)


def draw_basketball_court(site: Site, pose: Pose, colours: tuple[Points, Points]) -> None:
    """Draw a basketball court: 28 by 15 metres; its scale is pixels per metre."""
    court, keys = colours
    site.fill(pose.place(rectangle(32, 19)), court * 0.9)
    thing = site.canvas.new_thing("basketball court", {"angle": pose.angle})
    site.fill(pose.place(rectangle(28.6, 15.6)), court, thing)
    thin = max(0.7, 0.25 * pose.scale)
    for side in (-1, 1):
        site.fill(pose.place(rectangle(5.8, 4.9, side * 11.1)), keys)
        site.line(pose.place(rectangle(5.8, 4.9, side * 11.1)), thin, LINE, closed=True, opacity=0.85)
        site.line(pose.place(arc(1.8, -math.pi / 2, math.pi / 2) * (-side, 1) + (side * 8.2, 0)), thin, LINE)
        three = arc(6.75, -1.45, 1.45) * (-side, 1) + (side * 12.4, 0)
        site.line(pose.place(three), thin, LINE, opacity=0.85)
    site.line(pose.place(rectangle(28, 15)), thin, LINE, closed=True, opacity=0.9)
    site.line(pose.place([(0, -7.5), (0, 7.5)]), thin, LINE, opacity=0.85)
    site.line(pose.place(ellipse(3.6, 3.6)), thin, LINE, closed=True, opacity=0.85)


def draw_baseball_diamond(site: Site, pose: Pose, dirt: Points, turf: Points) -> None:
    """Draw a baseball diamond; home plate is at (0, 0), the field opens along x; its scale is pixels per metre.

    The outfield belongs to nobody: what is called the diamond is the bare infield and the grass within.
    """
    quarter = math.pi / 4
    outfield = np.concatenate([np.array([(-3.0, 0.0)]), arc(92, -quarter, quarter, steps=40)])
    site.fill(pose.place(outfield), turf, opacity=0.7)
    thing = site.canvas.new_thing("baseball diamond", {"angle": pose.angle})
    fan = arc(30, -0.86, 0.86, 17, 0, 30)
    infield = np.concatenate([arc(6, 0.6 * math.pi, 1.4 * math.pi, 0, 0, 12), fan])
    site.fill(pose.place(infield), dirt, thing)
    if site.rng.random() < 0.7:
        grass = np.array([(4, 0), (19, -15), (34, 0), (19, 15)])
        site.fill(pose.place(grass), turf)
        site.fill(pose.place(ellipse(5.5, 5.5, 18.4)), dirt)
    for base in ((0.0, 0.0), (19.4, -19.4), (38.8, 0.0), (19.4, 19.4)):
        site.fill(pose.place(rectangle(1.2, 1.2, *base)), LINE)
    for side in (-1, 1):
        line = np.array([(0, 0), (62, side * 62)])
        site.line(pose.place(line), max(0.6, 0.3 * pose.scale), LINE, opacity=0.5)


def draw_running_track(site: Site, pose: Pose, lanes: Points, turf: Points) -> None:
    """Draw a running track with its infield: 177 by 93 metres; its scale is pixels per metre."""
    thing = site.canvas.new_thing("running track", {"angle": pose.angle})
    site.fill(pose.place(stadium(177, 93)), lanes, thing)
    for lane in np.linspace(2.5, 17, 7):
        oval = pose.place(stadium(177 - lane, 93 - lane))
        site.line(oval, max(0.5, 0.2 * pose.scale), LINE, closed=True, opacity=0.35)
    site.fill(pose.place(stadium(158, 74)), turf)
    for number, x in enumerate(np.linspace(-45, 45, 10)):
        if number % 2:
            site.fill(pose.place(rectangle(10, 60, float(x))), turf * 1.07, opacity=0.7)
    thin = max(0.6, 0.4 * pose.scale)
    site.line(pose.place(rectangle(100, 60)), thin, LINE, closed=True, opacity=0.7)
    site.line(pose.place([(0, -30), (0, 30)]), thin, LINE, opacity=0.7)
    site.line(pose.place(ellipse(18, 18)), thin, LINE, closed=True, opacity=0.6)
    for side in (-1, 1):
        site.line(pose.place(rectangle(16, 38, side * 42)), thin, LINE, closed=True, opacity=0.6)

"""Things from above: ships, aircraft and vehicles, storage tanks and the grounds of four sports."""

from __future__ import annotations

import math

import numpy as np

from fiducial.synthetic.aerial_site import Site
from fiducial.synthetic.drawing import Points, Pose, arc, ellipse, rectangle, rounded, stadium

HULLS = ((128, 48, 38), (44, 48, 54), (92, 96, 100), (38, 66, 112), (206, 206, 202), (150, 76, 48), (70, 92, 82))
DECKS = ((150, 84, 62), (120, 122, 120), (182, 176, 162), (96, 108, 98), (206, 204, 196))
LOADS = ((178, 60, 48), (48, 84, 140), (206, 200, 188), (200, 140, 52), (70, 110, 84), (120, 120, 124))
LIVERIES = ((236, 238, 240), (222, 224, 228), (206, 210, 216), (176, 182, 190))
TAILS = ((40, 66, 128), (176, 40, 44), (226, 150, 40), (60, 120, 84), (210, 212, 216))
CARS = {
    "white": (236, 236, 234),
    "black": (30, 31, 34),
    "grey": (136, 138, 140),
    "red": (178, 32, 34),
    "blue": (38, 70, 150),
    "yellow": (232, 196, 44),
    "green": (44, 104, 62),
}


def draw_ship(site: Site, pose: Pose, *, wake: bool = False) -> None:
    """Draw a ship of length 1, its bow at x = 0.5; its scale is its length in pixels; a wake is white water."""
    rng = site.rng
    beam = float(rng.uniform(0.15, 0.23)) if pose.scale > 40 * site.unit else float(rng.uniform(0.24, 0.32))
    hull = _hull(beam)
    if wake:
        _draw_wake(site, pose, beam)
    site.shadow([pose.place(hull)], pose.scale * 0.035, 0.45)
    thing = site.canvas.new_thing("ship", {"angle": pose.angle, "length": pose.scale, "moving": wake})
    site.fill(pose.place(hull), site.pick(HULLS), thing)
    site.fill(pose.place(_hull(beam * 0.8) * (0.96, 1)), site.pick(DECKS))
    if pose.scale < 40 * site.unit:
        site.fill(pose.place(rounded(0.3, beam * 0.5, beam * 0.1, -0.05)), (236, 236, 232))
        site.fill(pose.place(rectangle(0.05, beam * 0.4, 0.12)), (60, 70, 84))
        return
    _draw_load(site, pose, beam)
    bridge = rectangle(0.1, beam * 0.86, -0.36)
    site.shadow([pose.place(bridge)], pose.scale * 0.04, 0.4)
    site.fill(pose.place(bridge), (232, 232, 228))
    site.fill(pose.place(rectangle(0.02, beam * 0.8, -0.305)), (64, 72, 84))
    site.fill(pose.place(ellipse(0.045, 0.045, -0.41)), site.pick(LOADS))


def _hull(beam: float) -> Points:
    half = beam / 2
    bow = [(0.28, -half), (0.40, -half * 0.78), (0.47, -half * 0.38), (0.5, 0.0)]
    side = [(-0.46, -half * 0.86), (-0.40, -half), *bow]
    mirrored = [(x, -y) for x, y in side[-2::-1]]
    return np.array([(-0.5, -half * 0.55), *side, *mirrored, (-0.5, half * 0.55)])


def _draw_load(site: Site, pose: Pose, beam: float) -> None:
    """Draw hatches of a bulk carrier, stacks of containers, or the pipes of a tanker."""
    kind = int(site.rng.integers(3))
    if kind == 2:
        site.line(pose.place([(-0.28, 0), (0.36, 0)]), max(1.0, pose.scale * 0.012), (196, 190, 176))
        for x in np.linspace(-0.2, 0.3, 4):
            site.line(pose.place([(x, -beam * 0.3), (x, beam * 0.3)]), max(0.8, pose.scale * 0.008), (188, 182, 170))
        return
    for x in np.linspace(-0.24, 0.30, int(site.rng.integers(4, 7))):
        if kind == 0:
            site.fill(pose.place(rectangle(0.065, beam * 0.56, float(x))), site.pick(DECKS))
            continue
        for y in (-0.24, 0.0, 0.24):
            site.fill(pose.place(rectangle(0.075, beam * 0.22, float(x), y * beam)), site.pick(LOADS))


def _draw_wake(site: Site, pose: Pose, beam: float) -> None:
    long = float(site.rng.uniform(0.7, 1.6))
    for step in np.linspace(0, 1, 24):
        spread = beam * (0.25 + 0.5 * step)
        start, end = -0.44 - long * step, -0.44 - long * min(1.0, step + 0.12)
        strip = [(start, -spread), (end, -spread * 1.15), (end, spread * 1.15), (start, spread)]
        site.fill(pose.place(strip), (206, 216, 220), opacity=0.15 * (1 - step) ** 1.5)
    for side in (-1, 1):
        line = pose.place([(0.42, side * beam * 0.3), (-0.5, side * beam * 1.1)])
        site.line(line, max(0.8, pose.scale * 0.02), (196, 208, 212), opacity=0.22)


def draw_airplane(site: Site, pose: Pose) -> None:
    """Draw an aircraft of length 1 with its nose at x = 0.5; its scale is its length in pixels."""
    rng = site.rng
    sweep, span = float(rng.uniform(0.14, 0.24)), float(rng.uniform(0.44, 0.54))
    parts = [_fuselage(), *_wings(span, sweep), *_tailplane()]
    engines = _engines(span, sweep, int(rng.choice([2, 2, 4])))
    placed = [pose.place(part) for part in (*parts, *engines)]
    site.shadow(placed, pose.scale * 0.05, 0.45)
    thing = site.canvas.new_thing("airplane", {"angle": pose.angle, "length": pose.scale})
    livery, tail = site.pick(LIVERIES), site.pick(TAILS)
    for engine in placed[len(parts) :]:
        site.fill(engine, livery * 0.78, thing)
    site.canvas.paint(site.canvas.cover(*placed[1 : len(parts)]), livery * 0.93, thing)
    for wing in _wings(span * 0.96, sweep)[:2]:  # flaps
        site.line(pose.place(wing[[1, 2]]), max(0.6, pose.scale * 0.008), livery * 0.72)
    site.fill(placed[0], livery, thing)
    site.fill(pose.place(_fuselage() * (0.96, 0.35) + (0, 0.006)), livery * 1.03)
    site.line(pose.place([(-0.49, 0), (-0.36, 0)]), max(1.0, pose.scale * 0.022), tail, thing=thing)
    site.fill(pose.place(rectangle(0.016, 0.05, 0.44)), (70, 76, 88))


def _fuselage() -> Points:
    nose = arc(1.0, -math.pi / 2, math.pi / 2, steps=14) * (0.09, 0.045) + (0.41, 0)
    return np.concatenate([nose, np.array([(-0.28, 0.045), (-0.5, 0.008), (-0.5, -0.008), (-0.28, -0.045)])])


def _wings(span: float, sweep: float) -> list[Points]:
    wing = np.array([(0.14, 0.03), (-0.06, 0.03), (-0.03 - sweep, span), (0.015 - sweep, span)])
    return [wing, wing * (1, -1)]


def _tailplane() -> list[Points]:
    tail = np.array([(-0.37, 0.012), (-0.46, 0.012), (-0.50, 0.17), (-0.46, 0.17)])
    return [tail, tail * (1, -1)]


def _engines(span: float, sweep: float, count: int) -> list[Points]:
    found = []
    for share in (0.36,) if count == 2 else (0.32, 0.6):
        x, y = 0.13 - (sweep + 0.12) * share, span * share
        found += [rounded(0.11, 0.046, 0.02, x, side * y) for side in (-1, 1)]
    return found


def draw_vehicle(site: Site, pose: Pose, colour: str, *, truck: bool = False) -> None:
    """Draw a vehicle of length 1 with its front at x = 0.5; its scale is its length in pixels."""
    wide = 0.30 if truck else 0.44
    body = rounded(1.0, wide, 0.05 if truck else 0.11)
    site.shadow([pose.place(body)], pose.scale * (0.16 if truck else 0.11), 0.5)
    thing = site.canvas.new_thing("vehicle", {"colour": colour, "truck": truck, "angle": pose.angle})
    ink = np.clip(np.array(CARS[colour], dtype=np.float64) + site.rng.uniform(-6, 6, 3), 0, 255)
    site.fill(pose.place(body), ink, thing)
    glass = (44, 52, 62) if colour != "black" else (72, 80, 90)
    if truck:
        site.fill(pose.place(rectangle(0.02, wide, 0.29)), (50, 52, 56))
        site.fill(pose.place(rectangle(0.05, wide * 0.8, 0.38)), glass)
        return
    site.fill(pose.place([(0.12, -0.17), (0.22, -0.15), (0.22, 0.15), (0.12, 0.17)]), glass)
    site.fill(pose.place([(-0.30, -0.15), (-0.23, -0.17), (-0.23, 0.17), (-0.30, 0.15)]), glass)
    site.fill(pose.place(rounded(0.3, wide * 0.72, 0.05, -0.05)), np.minimum(ink * 1.07 + 5, 255))


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

    Of the two colours, RGB, the second is that of what lies around it and belongs to nobody.
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

"""Aerial scenes: which grounds, things and surroundings go together, in seven themes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.synthetic import aerial_ground, aerial_things
from fiducial.synthetic.aerial_site import Site, expose
from fiducial.synthetic.canvas import Scene, scene_of
from fiducial.synthetic.drawing import Points, Pose, band

VOCABULARY = (
    "airplane",
    "ship",
    "storage tank",
    "baseball diamond",
    "tennis court",
    "basketball court",
    "running track",
    "harbor",
    "bridge",
    "vehicle",
)
"""The ten classes of NWPU VHR-10, as people call them."""


def draw_aerial(rng: np.random.Generator, size: tuple[int, int], name: str) -> Scene | None:
    """Draw one aerial scene of height, width in pixels; None when a thing came out too much hidden or there is none."""
    site = Site.empty(size, rng)
    themes = tuple(THEMES.values())
    themes[int(rng.integers(len(themes)))](site)
    expose(site)
    return scene_of(site.canvas, name, colours=True, vocabulary=VOCABULARY) if site.canvas.labels else None


def open_sea(site: Site) -> None:
    """Ships at anchor and under way, perhaps off a shore, perhaps under thin clouds."""
    site.canvas.pixels[...] = aerial_ground.water(site.rng, site.canvas.size, site.unit)
    if site.rng.random() < 0.4:
        land = aerial_ground.grass(site.rng, site.canvas.size, site.unit)
        level = float(site.rng.uniform(150, 200)) * site.unit
        ashore = aerial_ground.lay_shore(site, land, level, site.angle())
        aerial_ground.plant_wood(site, ashore, int(site.rng.integers(0, 60)))
        _take(site, ashore)
    base = float(site.rng.uniform(34, 90)) * site.unit
    heading = site.angle()
    for _ in range(int(site.rng.integers(1, 9))):
        length = base * float(site.rng.uniform(0.6, 1.7))
        moving = bool(site.rng.random() < 0.35)
        spot = site.places.find(length * 0.56)
        if spot is not None:
            angle = site.angle() if moving else heading + float(site.rng.normal(0, 0.25))
            aerial_things.draw_ship(site, Pose(*spot, angle, length), wake=moving)
    if site.rng.random() < 0.25:
        aerial_ground.draw_clouds(site)


def _take(site: Site, land: NDArray[np.bool_]) -> None:
    """Take the room of an area, coarsely."""
    step = max(6, round(14 * site.unit))
    for y in range(0, site.height, step):
        for x in range(0, site.width, step):
            if land[y, x]:
                site.places.take(float(x), float(y), float(step))


def harbour(site: Site) -> None:
    """Piers with boats along a straight quay, ships off it, perhaps tanks on the land."""
    rng, unit = site.rng, site.unit
    site.canvas.pixels[...] = aerial_ground.water(rng, site.canvas.size, unit)
    across, along = float(site.width), float(site.height)
    quay = float(rng.uniform(0.24, 0.36)) * along
    ground = aerial_ground.asphalt if rng.random() < 0.5 else aerial_ground.soil
    yard = np.array([(-2.0, -2.0), (across + 2, -2.0), (across + 2, quay), (-2.0, quay)])
    site.fill(yard, ground(rng, site.canvas.size, unit))
    site.fill(band(np.array([(-2.0, quay), (across + 2, quay)]), 6 * unit), (188, 184, 174))
    _fill_yard(site, quay)
    length = float(rng.uniform(0.26, 0.4)) * along
    count = int(rng.integers(1, 5))
    step = across / (count + 0.4)
    for number in range(count):
        x = step * (number + 0.7)
        tilt = math.pi / 2 + float(rng.normal(0, 0.03))
        own = length * float(rng.uniform(0.75, 1.1))
        if own * 0.3 < step:
            aerial_ground.draw_harbor(site, Pose(x, quay + 2 * unit, tilt, own), int(rng.integers(7, 13)))
            site.places.take_line((x, quay), (x, quay + own), own * 0.16)
    for _ in range(int(rng.integers(0, 5))):
        ship = float(rng.uniform(34, 80)) * unit
        spot = site.places.find(ship * 0.55, inside=(0, quay + 12 * unit, across, along))
        if spot is not None:
            aerial_things.draw_ship(site, Pose(*spot, site.angle(), ship), wake=bool(rng.random() < 0.4))


def _fill_yard(site: Site, quay: float) -> None:
    """Put tanks or buildings on the land above a quay."""
    rng, unit = site.rng, site.unit
    inside = (6 * unit, 6 * unit, site.width - 6 * unit, quay - 10 * unit)
    tanks = rng.random() < 0.5
    for _ in range(int(rng.integers(2, 8))):
        radius = float(rng.uniform(16, 26)) * unit
        spot = site.places.find(radius * 1.15, inside=inside)
        if spot is None:
            continue
        if tanks:
            aerial_things.draw_tank(site, Pose(*spot, site.angle(), radius * 1.8))
        else:
            aerial_ground.draw_building(site, Pose(*spot, 0.0, 1.0), radius * 1.5, radius * 1.1)


def airport(site: Site) -> None:
    """Aircraft on an apron of concrete, between grass and a terminal."""
    rng, unit = site.rng, site.unit
    site.canvas.pixels[...] = aerial_ground.grass(rng, site.canvas.size, unit)
    turn = float(rng.choice([0, math.pi / 2])) + float(rng.normal(0, 0.12))
    frame = Pose(site.width / 2, site.height / 2, turn, unit)
    apron = np.array([(-420, -150), (420, -150), (420, 190), (-420, 190)])
    site.fill(frame.place(apron), aerial_ground.concrete(rng, site.canvas.size, unit))
    for y in (60, 150):
        taxi = frame.place([(-420, y), (420, y)])
        site.line(taxi, max(0.8, 1.3 * unit), (206, 178, 74), opacity=0.8)
    terminal = frame.place([(0, -196)])[0]
    aerial_ground.draw_building(site, Pose(float(terminal[0]), float(terminal[1]), turn, 1.0), 420 * unit, 70 * unit)
    start, end = frame.place([(-200, -196), (200, -196)]).tolist()
    site.places.take_line((start[0], start[1]), (end[0], end[1]), 42 * unit)
    for x in np.arange(-210, 230, float(rng.uniform(76, 120))):
        if rng.random() < 0.75:  # parked, nose to the terminal
            _park(site, frame, (float(x), -96.0), turn - math.pi / 2, float(rng.uniform(56, 84)) * unit)
    for _ in range(int(rng.integers(0, 5))):
        length = float(rng.uniform(40, 86)) * unit
        spot = site.places.find(length * 0.58)
        if spot is not None and abs(_inside(frame, spot)[1] - 40) < 110:
            heading = turn + float(rng.choice([0.0, math.pi])) + float(rng.normal(0, 0.2))
            aerial_things.draw_airplane(site, Pose(*spot, heading, length))
    y, x = np.mgrid[: site.height, : site.width]
    _take(site, np.abs(_inside(frame, (x, y))[1] - 20) < 190)
    aerial_ground.plant_trees(site, int(rng.integers(5, 40)))


def _park(site: Site, frame: Pose, at: tuple[float, float], angle: float, length: float) -> None:
    x, y = frame.place([at])[0].tolist()
    near = length * 0.5
    inside = near < x < site.width - near and near < y < site.height - near
    if inside and site.places.is_free(x, y, length * 0.5):
        site.places.take(x, y, length * 0.5)
        aerial_things.draw_airplane(site, Pose(x, y, angle + float(site.rng.normal(0, 0.05)), length))


def _inside(frame: Pose, spot: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return a spot, or arrays of x and y, in the drawing's own coordinates."""
    dx, dy = (spot[0] - frame.x) / frame.scale, (spot[1] - frame.y) / frame.scale
    sine, cosine = math.sin(frame.angle), math.cos(frame.angle)
    return dx * cosine + dy * sine, dy * cosine - dx * sine


def tank_farm(site: Site) -> None:
    """Rows of storage tanks on bare ground or grass, with pipes and a road."""
    rng, unit = site.rng, site.unit
    ground = aerial_ground.soil if rng.random() < 0.5 else aerial_ground.grass
    site.canvas.pixels[...] = ground(rng, site.canvas.size, unit)
    edge = float(rng.uniform(0.08, 0.2)) * site.height
    road = aerial_ground.curve((-20.0, edge), (site.width + 20.0, edge * 1.3), 12 * unit)
    aerial_ground.draw_road(site, road, 16 * unit)
    frame = Pose(site.width / 2, site.height * 0.58, float(rng.normal(0, 0.2)), unit)
    step = float(rng.uniform(74, 112))
    rows, columns = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    for row in range(rows):
        diameter = step * float(rng.uniform(0.5, 0.78))
        y = (row - (rows - 1) / 2) * step
        ends = frame.place([(-columns * step / 2, y + step / 2), (columns * step / 2, y + step / 2)])
        site.line(ends, max(0.8, 2 * unit), (156, 150, 138), opacity=0.8)
        for column in range(columns):
            x = (column - (columns - 1) / 2) * step
            u, v = frame.place([(x, y)])[0].tolist()
            own = diameter * float(rng.uniform(0.9, 1.0)) * unit
            if rng.random() < 0.88 and site.places.is_free(u, v, own * 0.52):
                aerial_things.draw_tank(site, Pose(u, v, site.angle(), own))
                site.places.take(u, v, own * 0.6)
    for _ in range(int(rng.integers(1, 4))):
        spot = site.places.find(34 * unit)
        if spot is not None:
            aerial_ground.draw_building(site, Pose(*spot, frame.angle, 1.0), 44 * unit, 30 * unit)
    aerial_ground.plant_trees(site, int(rng.integers(4, 26)))


def sports(site: Site) -> None:
    """Courts, diamonds and tracks on grass, with a road, trees and a school."""
    rng, unit = site.rng, site.unit
    site.canvas.pixels[...] = aerial_ground.grass(rng, site.canvas.size, unit)
    if rng.random() < 0.5:
        x = float(rng.choice([0.06, 0.94])) * site.width
        line = aerial_ground.curve((x, -20.0), (x, site.height + 20.0), 8 * unit)
        aerial_ground.draw_road(site, line, 18 * unit)
    turn = float(rng.uniform(0, math.pi))
    makers = [_track, _diamonds, _tennis, _basketball]
    for k in rng.choice(4, size=int(rng.integers(1, 4)), replace=False):
        makers[int(k)](site, turn + float(rng.choice([0, math.pi / 2])))
    for _ in range(int(rng.integers(0, 4))):
        spot = site.places.find(40 * unit)
        if spot is not None:
            size = rng.uniform(0.6, 1.0, 2) * 56 * unit
            aerial_ground.draw_building(site, Pose(*spot, turn, 1.0), float(size[0]), float(size[1]))
    aerial_ground.plant_trees(site, int(rng.integers(15, 70)))


def _track(site: Site, turn: float) -> None:
    scale = float(site.rng.uniform(0.95, 1.5)) * site.unit
    spot = site.places.find(92 * scale)
    if spot is not None:
        lanes = site.pick(aerial_things.LANES)
        turf = site.pick(((72, 104, 58), (84, 112, 66), (62, 96, 60)))
        aerial_things.draw_running_track(site, Pose(*spot, turn, scale), lanes, turf)


def _diamonds(site: Site, turn: float) -> None:
    dirt, turf = site.pick(aerial_things.DIRT), site.pick(((78, 108, 60), (66, 98, 56)))
    scale = float(site.rng.uniform(0.75, 1.15)) * site.unit
    for _ in range(int(site.rng.integers(1, 4))):
        spot = site.places.find(56 * scale)
        if spot is not None:
            angle = turn + math.pi / 2 * int(site.rng.integers(4))
            back = np.array([math.cos(angle), math.sin(angle)]) * 30 * scale
            own = Pose(spot[0] - float(back[0]), spot[1] - float(back[1]), angle, scale)
            aerial_things.draw_baseball_diamond(site, own, dirt, turf)


def _tennis(site: Site, turn: float) -> None:
    colours = site.pick(aerial_things.COURTS), site.pick(aerial_things.SURROUNDS)
    _row_of_courts(site, turn, colours, 18.5, float(site.rng.uniform(1.5, 2.2)), int(site.rng.integers(1, 6)), True)


def _basketball(site: Site, turn: float) -> None:
    court = site.pick(((120, 122, 122), (150, 86, 66), (86, 112, 92), (96, 104, 130)))
    colours = court, site.pick(((168, 84, 62), (72, 98, 140), (104, 108, 110)))
    _row_of_courts(site, turn, colours, 21.0, float(site.rng.uniform(1.5, 2.1)), int(site.rng.integers(1, 4)), False)


def _row_of_courts(
    site: Site, turn: float, colours: tuple[Points, Points], step: float, metre: float, count: int, tennis: bool
) -> None:
    scale = metre * site.unit
    spot = site.places.find(max(18.0, count * step * 0.5 + 4) * scale)
    if spot is None:
        return
    row = Pose(*spot, turn, scale)
    draw = aerial_things.draw_tennis_court if tennis else aerial_things.draw_basketball_court
    for number in range(count):
        x, y = row.place([(0.0, (number - (count - 1) / 2) * step)])[0].tolist()
        draw(site, Pose(x, y, turn, scale), colours)


def river(site: Site) -> None:
    """A river with bridges, roads on both banks, houses and trees, perhaps a ship."""
    rng, unit = site.rng, site.unit
    site.canvas.pixels[...] = aerial_ground.grass(rng, site.canvas.size, unit)
    wide = float(rng.uniform(70, 130)) * unit
    upright = rng.random() < 0.5
    bank = float(rng.uniform(0.38, 0.62))
    far = float(site.height if upright else site.width) + 30
    across = float(site.width if upright else site.height)
    course = aerial_ground.curve((across * bank, -30.0), (across * bank, far), float(rng.normal(0, 40)) * unit)
    course = course if upright else course[:, ::-1].copy()
    aerial_ground.hide_under(site, band(course, wide), aerial_ground.water(rng, site.canvas.size, unit))
    site.line(band(course, wide), max(1.0, 3 * unit), (150, 142, 116), closed=True, opacity=0.5)
    for start, end in zip(course[:-1].tolist(), course[1:].tolist(), strict=True):
        site.places.take_line((start[0], start[1]), (end[0], end[1]), wide * 0.55)
    _span_bridges(site, course, wide)
    for _ in range(int(rng.integers(8, 26))):
        spot = site.places.find(15 * unit, tries=15)
        if spot is not None:
            angle = float(rng.choice([0, math.pi / 2])) + float(rng.normal(0, 0.06))
            aerial_ground.draw_house(site, Pose(*spot, angle, 1.0), float(rng.uniform(17, 24)) * unit)
    aerial_ground.plant_trees(site, int(rng.integers(20, 70)))


def _span_bridges(site: Site, course: Points, wide: float) -> None:
    """Lay roads over a river, and bridges where they cross it; ships keep clear of them."""
    rng, unit = site.rng, site.unit
    shares = [0.2, 0.42, 0.64, 0.84]
    bridged = sorted(int(k) for k in rng.choice(4, size=int(rng.integers(1, 4)), replace=False))
    for k in range(4):
        at = round((len(course) - 1) * (shares[k] + float(rng.uniform(-0.04, 0.04))))
        along = course[at + 1] - course[at - 1]
        along /= np.linalg.norm(along)
        normal = np.array([-along[1], along[0]])
        if k not in bridged:
            length = float(rng.uniform(24, 46)) * unit
            if rng.random() < 0.5 and length < wide * 0.7:
                heading = math.atan2(along[1], along[0]) + (0.0 if rng.random() < 0.5 else math.pi)
                pose = Pose(float(course[at][0]), float(course[at][1]), heading, length)
                aerial_things.draw_ship(site, pose, wake=bool(rng.random() < 0.5))
            continue
        tilt = float(rng.normal(0, 0.15))
        normal = normal + along * tilt
        road = float(rng.uniform(14, 24)) * unit
        for side in (-1, 1):
            ends = np.linspace(course[at] + side * normal * wide * 0.5, course[at] + side * normal * 900 * unit, 12)
            aerial_ground.draw_road(site, ends, road)
        reach = normal * wide * 0.56
        start, end = (course[at] - reach).tolist(), (course[at] + reach).tolist()
        aerial_ground.draw_bridge(site, (start[0], start[1]), (end[0], end[1]), road * 1.15)


def street(site: Site) -> None:
    """Vehicles on a road and in a car park, close up, between buildings and trees."""
    rng, unit = site.rng, site.unit
    site.canvas.pixels[...] = aerial_ground.grass(rng, site.canvas.size, unit)
    car = float(rng.uniform(30, 46)) * unit
    turn = float(rng.choice([0, math.pi / 2])) + float(rng.normal(0, 0.1))
    frame = Pose(site.width / 2, site.height * float(rng.uniform(0.3, 0.7)), turn, 1.0)
    line = frame.place(np.stack([np.linspace(-900, 900, 40) * unit, np.zeros(40)], axis=1))
    aerial_ground.draw_road(site, line, car * 2.3)
    cars = list(aerial_things.CARS)
    colours = [cars[int(k)] for k in rng.choice(len(cars), size=int(rng.integers(2, 6)))]
    ahead = -320.0 * unit
    while ahead < 320 * unit:
        ahead += car * float(rng.uniform(1.3, 4.5))
        lane = int(rng.choice([-1, 1]))
        truck = bool(rng.random() < 0.15)
        _drive(site, frame, (ahead, lane * car * 0.55), turn + (0 if lane > 0 else math.pi), car, colours, truck)
        ahead += car * (1.2 if truck else 0.0)
    if rng.random() < 0.7:
        _car_park(site, turn, car, colours)
    for _ in range(int(rng.integers(1, 6))):
        spot = site.places.find(62 * unit)
        if spot is not None:
            size = rng.uniform(0.6, 1.0, 2) * 92 * unit
            aerial_ground.draw_building(site, Pose(*spot, turn, 1.0), float(size[0]), float(size[1]))
    aerial_ground.plant_trees(site, int(rng.integers(5, 30)), 9, 20)


def _drive(
    site: Site, frame: Pose, at: tuple[float, float], angle: float, car: float, colours: list[str], truck: bool
) -> None:
    x, y = frame.place([at])[0].tolist()
    length = car * (2.1 if truck else float(site.rng.uniform(0.9, 1.1)))
    if 0.6 * length < x < site.width - 0.6 * length and 0.6 * length < y < site.height - 0.6 * length:
        colour = colours[int(site.rng.integers(len(colours)))]
        aerial_things.draw_vehicle(site, Pose(x, y, angle, length), colour, truck=truck)


def _car_park(site: Site, turn: float, car: float, colours: list[str]) -> None:
    rng = site.rng
    columns = int(rng.integers(4, 8))
    step = car * 0.66
    spot = site.places.find(columns * step * 0.62)
    if spot is None:
        return
    lot = Pose(*spot, turn, 1.0)
    outline = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (columns * step / 2 + 8 * site.unit, car * 1.3)
    site.fill(lot.place(outline), aerial_ground.asphalt(rng, site.canvas.size, site.unit))
    for number in range(columns + 1):
        x = (number - columns / 2) * step
        for side in (-1, 1):
            bay = lot.place([(x, side * car * 0.12), (x, side * car * 1.15)])
            site.line(bay, max(0.7, 1.4 * site.unit), (222, 220, 212), opacity=0.8)
            if number < columns and rng.random() < 0.4:
                middle = (x + step / 2, side * car * 0.66)
                heading = turn + side * math.pi / 2 + float(rng.normal(0, 0.03))
                _drive(site, lot, middle, heading, car, colours, False)


THEMES: dict[str, Callable[[Site], None]] = {
    "open sea": open_sea,
    "harbour": harbour,
    "airport": airport,
    "tank farm": tank_farm,
    "sports": sports,
    "river": river,
    "street": street,
}

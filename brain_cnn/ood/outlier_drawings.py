"""Drawings of what is no head: limbs, trunks, hands, scenes, patterns, pages.

Negatives for the familiarity gate (`outliers`), each drawn by code alone: no picture of a
person or patient stands behind them. A maker takes a random generator and returns uint8.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Random = np.random.Generator
SIDE = 160


def to_grey(values: NDArray[np.floating]) -> Picture:
    """Return values 0..1 as uint8."""
    result: Picture = (np.clip(values, 0, 1) * 255).astype(np.uint8)
    return result


def noise(rng: Random, shape: tuple[int, int], cells: float) -> NDArray[np.float64]:
    """Return smooth noise in 0..1 with about `cells` bumps along a side."""
    small = rng.random((max(2, round(cells)), max(2, round(cells))), dtype=np.float32)
    large = cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC)
    result: NDArray[np.float64] = np.clip(large, 0, 1)
    return result


def texture(rng: Random, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return noise of several scales, in 0..1, as surfaces in photographs have."""
    falling = rng.uniform(0.35, 1.0)
    levels = [2**k for k in range(1, 7)]
    total = np.sum([falling**k * noise(rng, shape, c) for k, c in enumerate(levels)], axis=0)
    low, high = np.min(total), np.max(total)
    return np.asarray((total - low) / (high - low + 1e-9))


def blob(rng: Random, least: float, most: float) -> NDArray[np.float64]:
    """Return a soft blob in 0..1 somewhere near the middle, its radii shares of the side."""
    canvas = np.zeros((SIDE, SIDE))
    place = rng.normal(SIDE / 2, SIDE / 8, 2).astype(int)
    radii = (rng.uniform(least, most, 2) * SIDE).astype(int) + 1
    angle = float(rng.uniform(0, 180))
    cv2.ellipse(canvas, (int(place[0]), int(place[1])), (int(radii[0]), int(radii[1])),
                angle, 0, 360, 1.0, cv2.FILLED)  # fmt: skip
    result: NDArray[np.float64] = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.8, 4))
    return result


def band(rng: Random, width: float) -> NDArray[np.float64]:
    """Return the outline of a limb in 0..1: from edge to edge, its sides wavy."""
    rows = np.arange(SIDE)
    middle = SIDE / 2 + _wave(rng, 0.08) * SIDE
    half = width * SIDE / 2 * (1 + 0.35 * _wave(rng, 1.0))
    columns = np.arange(SIDE)[None]
    inside = np.abs(columns - middle[rows, None]) < half[rows, None]
    result: NDArray[np.float64] = cv2.GaussianBlur(inside.astype(float), (0, 0), 1.0)
    return result


def _wave(rng: Random, size: float) -> NDArray[np.float64]:
    line = rng.normal(0, size, int(rng.integers(3, 6)))
    smooth = cv2.resize(line[:, None], (1, SIDE), interpolation=cv2.INTER_CUBIC)[:, 0]
    result: NDArray[np.float64] = smooth - smooth.mean()
    return result


def turned(picture: NDArray[np.floating], rng: Random) -> Picture:
    """Return a picture 0..1 at a random angle and scale, as uint8."""
    if rng.random() < 0.25:
        picture = picture.T
    angle = rng.normal(0, 12)
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), angle, rng.uniform(0.9, 1.15))
    return to_grey(cv2.warpAffine(np.ascontiguousarray(picture), matrix, (SIDE, SIDE)))


def draw_limb(rng: Random) -> Picture:
    """A joint or a limb: bones with dark rims in grey muscle and bright fat."""
    width = rng.uniform(0.25, 0.95)
    outline = band(rng, width)
    depth = cv2.distanceTransform((outline > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    picture = np.full((SIDE, SIDE), rng.uniform(0.1, 0.5))
    picture += rng.uniform(0.05, 0.35) * (texture(rng, picture.shape) - 0.5)
    bone, rim = rng.uniform(0.45, 1.0), rng.uniform(0.0, 0.2)
    for _ in range(int(rng.integers(0, 4))):  # muscles beside the bone, fat between them
        beside = band(rng, rng.uniform(0.08, 0.4))
        aside = int(rng.normal(0, 0.3) * width * SIDE)
        beside = np.roll(beside, aside, axis=1)
        picture += (rng.uniform(0.1, 0.8) - picture) * beside * rng.uniform(0.5, 1)
    picture = np.where(depth < rng.uniform(0, 14), rng.uniform(0.4, 1.0), picture)
    marrow = texture(rng, picture.shape) - 0.5
    for _ in range(int(rng.integers(0, 5))):  # tendons and vessels
        ends = rng.integers(0, SIDE, 4).tolist()
        grey = float(rng.choice([rim, bone]))
        cv2.line(picture, (ends[0], ends[1]), (ends[2], ends[3]), grey, int(rng.integers(1, 8)))
    gap, shift = rng.uniform(0.35, 0.65) * SIDE, float(rng.normal(0, 0.07)) * SIDE
    for upper in (True, False):
        if rng.random() < 0.15:
            continue
        bones = _bone(rng, width * SIDE * rng.uniform(0.12, 0.3), gap, shift, upper)
        rimmed = cv2.dilate(bones, np.ones((3, 3), np.uint8), iterations=int(rng.integers(1, 3)))
        picture = np.where(rimmed > 0, rim, picture)
        picture = np.where(bones > 0, bone + rng.uniform(0, 0.25) * marrow, picture)
    for _ in range(int(rng.integers(0, 3))):  # a kneecap, a small bone, fluid
        picture += (rng.choice([bone, rim]) - picture) * blob(rng, 0.03, 0.1)
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.6)) * outline
    if rng.random() < 0.6:  # a surface coil: bright in the middle
        rows = np.linspace(-1, 1, SIDE)[:, None] - rng.normal(0, 0.3)
        picture = picture * np.exp(-(rows**2) * rng.uniform(0.2, 2.0))
    picture = picture + rng.normal(0, rng.uniform(0, 0.03), picture.shape)
    return turned(np.clip(picture, 0, 1) ** rng.uniform(0.6, 1.4), rng)


def _bone(rng: Random, shaft: float, gap: float, shift: float, upper: bool) -> NDArray[np.uint8]:
    """Return where a long bone lies whose head meets the joint at the row `gap`."""
    head = shaft * rng.uniform(1.0, 2.2)
    place = (int(SIDE / 2 + shift), int(gap - head * 0.8 if upper else gap + head * 0.8))
    bones = np.zeros((SIDE, SIDE), np.uint8)
    radii = (int(head), int(head * rng.uniform(0.6, 1.1)))
    cv2.ellipse(bones, place, radii, float(rng.normal(0, 15)), 0, 360, 1, cv2.FILLED)
    if rng.random() < 0.85:
        half, slope = shaft * rng.uniform(0.5, 1.0), rng.normal(0, 12)
        end = -20 if upper else SIDE + 20
        corners = [
            (place[0] - 0.9 * head, place[1]), (place[0] + 0.9 * head, place[1]),
            (place[0] + slope + half, end), (place[0] + slope - half, end),
        ]  # fmt: skip
        cv2.fillPoly(bones, [np.array(corners).astype(np.int32)], 1)
    return bones


def draw_trunk(rng: Random) -> Picture:
    """A trunk or a chest film: dark lungs and bright bones in a wide body."""
    picture = np.full((SIDE, SIDE), rng.choice([0.0, rng.uniform(0, 0.3)]))
    centre = SIDE // 2
    tall = rng.uniform(0.25, 0.5)
    body = (int(SIDE * 0.48), int(SIDE * tall))
    cv2.ellipse(picture, (centre, centre), body, 0, 0, 360, rng.uniform(0.4, 0.7), cv2.FILLED)
    for side in (-1, 1):
        place = (int(centre + side * rng.uniform(0.17, 0.25) * SIDE), centre)
        radii = (int(rng.uniform(0.08, 0.17) * SIDE), int(tall * rng.uniform(0.4, 0.85) * SIDE))
        cv2.ellipse(picture, place, radii, float(rng.normal(0, 8)), 0, 360,
                    rng.uniform(0, 0.3), cv2.FILLED)  # fmt: skip
    for _ in range(int(rng.integers(0, 12))):
        radii = (int(rng.uniform(0.1, 0.4) * SIDE), int(rng.uniform(0.05, 0.3) * SIDE))
        y = int(rng.uniform(0.2, 0.8) * SIDE)
        start, end = float(rng.uniform(150, 200)), float(rng.uniform(300, 390))
        grey, thick = rng.uniform(0.5, 1.0), int(rng.integers(1, 6))
        cv2.ellipse(picture, (centre, y), radii, 0, start, end, grey, thick)
    cv2.circle(picture, (centre, int(centre + rng.uniform(0, tall * 0.7) * SIDE)),
               int(rng.uniform(0.03, 0.08) * SIDE), rng.uniform(0.7, 1.0), cv2.FILLED)  # fmt: skip
    picture = picture + rng.uniform(0, 0.3) * (texture(rng, picture.shape) - 0.5)
    return to_grey(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 3)))


def draw_hand(rng: Random) -> Picture:
    """Bars that fan out: a hand, a foot, branches."""
    picture = np.full((SIDE, SIDE), rng.uniform(0, 0.2))
    root = (int(rng.normal(SIDE / 2, 15)), int(SIDE * rng.uniform(0.6, 0.9)))
    grey = rng.uniform(0.4, 1.0)
    for angle in np.linspace(-0.8, 0.8, int(rng.integers(3, 8))) + rng.normal(0, 0.1):
        length = SIDE * rng.uniform(0.4, 0.75)
        tip = (int(root[0] + length * np.sin(angle)), int(root[1] - length * np.cos(angle)))
        cv2.line(picture, root, tip, grey, int(rng.integers(4, 20)))
        if rng.random() < 0.5:
            cv2.line(picture, root, tip, grey * 0.6, int(rng.integers(2, 5)))
    cv2.circle(picture, root, int(rng.uniform(0.1, 0.2) * SIDE), grey, cv2.FILLED)
    picture = picture * (0.7 + 0.3 * texture(rng, picture.shape))
    return turned(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 2)), rng)


def draw_scene(rng: Random) -> Picture:
    """A heap of shapes with surfaces of their own, light and shade: like a photograph."""
    height = int(SIDE * rng.choice([1.0, 1.0, 0.66, 0.75]))
    shape = (height, SIDE)
    surfaces = [texture(rng, shape) for _ in range(3)]
    picture = 0.3 + 0.6 * surfaces[0] * rng.uniform(0.2, 1)
    for _ in range(int(rng.integers(1, 40))):
        canvas = np.zeros(shape, np.uint8)
        size = float(np.clip(SIDE * 0.05 / rng.random() ** 0.7, 4, SIDE / 2))
        place = (int(rng.integers(SIDE)), int(rng.integers(height)))
        if rng.random() < 0.5:
            radii = (int(size), max(2, int(size * rng.uniform(0.3, 1))))
            cv2.ellipse(canvas, place, radii, float(rng.uniform(0, 180)), 0, 360, 1, cv2.FILLED)
        else:
            corners = rng.normal(place, size, (int(rng.integers(3, 7)), 2)).astype(np.int32)
            cv2.fillPoly(canvas, [corners], 1)
        surface = rng.random() + rng.uniform(0, 0.5) * (surfaces[int(rng.integers(3))] - 0.5)
        picture = np.where(canvas > 0, surface, picture)
    light = rng.uniform(0, 0.5) * (noise(rng, shape, 2) - 0.5)
    return to_grey(cv2.GaussianBlur(picture + light, (0, 0), rng.uniform(0.3, 1.5)))


def draw_object(rng: Random) -> Picture:
    """One thing before an even ground, dark or bright: a ball, a fruit, a face."""
    ground = rng.choice([0.0, rng.uniform(0, 1)])
    picture = np.full((SIDE, SIDE), ground)
    picture += rng.uniform(0, 0.3) * (noise(rng, picture.shape, 2) - 0.5)
    thing = blob(rng, 0.12, 0.5)
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    shade = rng.uniform(0.2, 1) + 0.4 * (rows * rng.normal() + columns * rng.normal())
    shade = shade + rng.uniform(0, 0.6) * (texture(rng, picture.shape) - 0.5)
    for _ in range(int(rng.integers(0, 5))):
        shade = shade + rng.uniform(-0.5, 0.5) * blob(rng, 0.02, 0.15)
    return to_grey(picture * (1 - thing) + shade * thing)


def draw_pattern(rng: Random) -> Picture:
    """Noise, gratings, chequers, dots, gradients, rings."""
    rows, columns = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j]
    kind = int(rng.integers(7))
    if kind == 0:
        return to_grey(noise(rng, (SIDE, SIDE), rng.uniform(3, 190)))
    if kind == 1:
        return to_grey(texture(rng, (SIDE, SIDE)))
    if kind == 2:
        angle, waves = rng.uniform(0, np.pi), rng.uniform(2, 40)
        wave = np.cos(2 * np.pi * waves * (rows * np.sin(angle) + columns * np.cos(angle)))
        return to_grey(0.5 + 0.5 * wave)
    if kind == 3:
        cells = rng.integers(2, 16)
        return to_grey(
            ((np.floor(rows * cells) + np.floor(columns * cells)) % 2) * rng.uniform(0.5, 1)
        )
    if kind == 4:
        picture = np.zeros((SIDE, SIDE))
        for _ in range(int(rng.integers(5, 300))):
            place = rng.integers(0, SIDE, 2)
            radius = int(1 + rng.exponential(2))
            cv2.circle(picture, (int(place[0]), int(place[1])), radius, rng.random(), cv2.FILLED)
        return to_grey(cv2.GaussianBlur(picture, (0, 0), 0.8))
    if kind == 5:
        slope = rng.normal(0, 1, 2)
        return to_grey(0.5 + slope[0] * (rows - 0.5) + slope[1] * (columns - 0.5))
    radius = np.hypot(rows - rng.uniform(0.3, 0.7), columns - rng.uniform(0.3, 0.7))
    return to_grey(0.5 + 0.5 * np.cos(radius * rng.uniform(5, 90)))


def draw_paper(rng: Random) -> Picture:
    """A page: lines of text, a chart, boxes; dark on bright or the reverse."""
    picture = np.full((SIDE, SIDE), 255, np.uint8)
    if rng.random() < 0.5:
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz     ABCDEFG0123456789"))
        step = int(rng.integers(8, 30))
        for y in range(step, SIDE, step):
            line = "".join(rng.choice(letters, int(rng.integers(5, 40))))
            cv2.putText(picture, line, (5, y), cv2.FONT_HERSHEY_SIMPLEX, step / 40, 0, 1)
    else:
        for _ in range(int(rng.integers(1, 5))):
            top, left = (int(v) for v in rng.integers(0, SIDE - 60, 2))
            height, width = (int(v) for v in rng.integers(40, 120, 2))
            cv2.rectangle(picture, (left, top), (left + width, top + height), 0, 1)
            for _ in range(int(rng.integers(0, 40))):
                place = (int(left + rng.uniform(0, width)), int(top + rng.uniform(0, height)))
                cv2.circle(picture, place, 1, int(rng.integers(0, 128)), cv2.FILLED)
    return picture if rng.random() < 0.7 else 255 - picture

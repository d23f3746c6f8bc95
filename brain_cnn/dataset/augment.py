"""Random changes of a prepared slice that leave its class alone.

Geometry: what a head may do in a scanner, and how it may be cropped. Grey values: what
another scanner, weighting or file may do, so that none of these tells the classes apart.
Each function takes its own random generator: the same seed draws the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from brain_cnn.errors import SettingsError

Image = NDArray[np.float32]


@dataclass(frozen=True)
class AugmentSettings:
    """How strongly to change; every share is a probability in 0..1.

    Attributes:
        flip: share mirrored left to right.
        right_angles: share turned by 90, 180 or 270 degrees (files that are not upright).
        rotation_degrees: standard deviation of the small rotation.
        scale: largest relative change of size; aspect: the same of the sides' ratio.
        shift: largest shift, as a share of the side.
        curve: share whose grey values pass through a random monotone curve.
        invert: share whose grey values inside the head are turned round.
        bias_field: share under a smooth random brightness.
        resolution: share blurred or sampled down and up again.
        sharpen: share sharpened; jpeg: share saved as JPEG and read back.
        noise: share with added noise.
        elastic: share bent by a smooth random field, up to about 3 % of the side.
        convolution: share passed through a random small filter, mixed with the original
            (Xu et al. 2021): other textures and contrasts, the same shapes.
        local_contrast: share whose grey and white matter come apart more, or less, by a
            factor of 0.3 to 3: what sets a volume sequence apart from a plain spin echo.
    """

    flip: float = 0.5
    right_angles: float = 0.05
    rotation_degrees: float = 9.0
    scale: float = 0.15
    aspect: float = 0.08
    shift: float = 0.06
    curve: float = 0.6
    invert: float = 0.04
    bias_field: float = 0.3
    resolution: float = 0.25
    sharpen: float = 0.15
    jpeg: float = 0.2
    noise: float = 0.3
    elastic: float = 0.0
    convolution: float = 0.0
    local_contrast: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name == "rotation_degrees":
                holds, wanted = 0.0 <= value <= 180.0, "degrees in 0..180"
            else:
                holds, wanted = 0.0 <= value <= 1.0, "a number in 0..1"
            if not holds:
                raise SettingsError("bad-setting", f"augment.{name} is {value}.", f"Give {wanted}.")


def augment(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None,
    size: int,
    rng: np.random.Generator,
    settings: AugmentSettings,
) -> tuple[Image, Image | None]:
    """Change a prepared slice, and its tumour mask with it.

    Args:
        image: uint8 (S, S), a prepared slice (0..255 stands for 0..1).
        mask: uint8 (S, S), 255 inside the tumour, or None.
        size: side of the result in pixels.
        rng: where the randomness comes from.
        settings: how strongly.

    Returns:
        float32 (size, size) in 0..1, and the mask as float32 (size, size) in 0..1 or None.
    """
    matrix = _random_affine(image.shape[0], size, rng, settings)
    source = image.astype(np.float32) / 255.0
    changed = _warp(source, matrix, size)
    changed_mask = None if mask is None else _warp(mask.astype(np.float32) / 255.0, matrix, size)
    # A share of 0 draws nothing: the other random choices stay what they are without it.
    if settings.elastic > 0.0 and rng.random() < settings.elastic:
        field = _bending(size, rng)
        changed = _bend(changed, field)
        changed_mask = None if changed_mask is None else _bend(changed_mask, field)
    return _change_greys(changed, rng, settings), changed_mask


def plain(image: NDArray[np.uint8], size: int) -> Image:
    """Return the slice unchanged as float32 (size, size) in 0..1: what serving sees."""
    if image.shape[0] != size:
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return image.astype(np.float32) / 255.0


def _warp(source: Image, matrix: NDArray[np.float64], size: int) -> Image:
    result: Image = cv2.warpAffine(source, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return result


def _random_affine(
    side: int, size: int, rng: np.random.Generator, settings: AugmentSettings
) -> NDArray[np.float64]:
    """Return the (2, 3) matrix from a (side, side) source to a (size, size) result."""
    angle = rng.normal(0.0, settings.rotation_degrees)
    if rng.random() < settings.right_angles:
        angle += 90.0 * rng.integers(1, 4)
    zoom = np.exp(rng.uniform(-settings.scale, settings.scale))
    stretch = np.exp(rng.uniform(-settings.aspect, settings.aspect) / 2)
    radians = np.deg2rad(angle)
    turn = np.array(
        [[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]]
    ) @ np.diag([zoom * stretch, zoom / stretch])
    if rng.random() < settings.flip:
        turn = turn @ np.diag([-1.0, 1.0])
    turn *= size / side
    centre, new_centre = (side - 1) / 2, (size - 1) / 2
    shift = rng.uniform(-settings.shift, settings.shift, 2) * size
    offset = new_centre - turn @ np.array([centre, centre]) + shift
    return np.concatenate([turn, offset[:, None]], axis=1)


def _bending(size: int, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return where each pixel of a bent picture comes from: x and y, float32 (size, size)."""
    coarse = rng.normal(0.0, 0.012 * size, (2, 5, 5)).astype(np.float32)
    coarse[:, [0, -1]] = coarse[:, :, [0, -1]] = 0.0  # the border stays where it is
    move = [cv2.resize(part, (size, size), interpolation=cv2.INTER_CUBIC) for part in coarse]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return x + move[0], y + move[1]


def _bend(image: Image, field: tuple[Image, Image]) -> Image:
    result: Image = cv2.remap(image, field[0], field[1], cv2.INTER_LINEAR)
    return result


def _random_convolution(image: Image, rng: np.random.Generator) -> Image:
    """Filter float32 (n, n) in 0..1 by a random kernel; the head's mean and spread stay."""
    width = int(rng.choice([1, 3, 5]))
    kernel = rng.standard_normal((width, width)).astype(np.float32)
    inside = np.clip(image * 8.0, 0.0, 1.0)
    head = inside > 0.5
    filtered = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    if not head.any() or filtered[head].std() < 1e-6:
        return image
    filtered = (filtered - filtered[head].mean()) / filtered[head].std()
    filtered = filtered * image[head].std() + image[head].mean()
    share = rng.uniform(0.2, 1.0)
    # Air stays black in every weighting.
    result: Image = np.clip(inside * (share * filtered + (1 - share) * image), 0.0, 1.0)
    return result


def _change_local_contrast(image: Image, rng: np.random.Generator) -> Image:
    """Scale what float32 (n, n) in 0..1 differs by from its surroundings in the head."""
    inside = np.clip(image * 8.0, 0.0, 1.0)
    sigma = rng.uniform(2.0, 8.0) * image.shape[0] / 160.0
    # Weighted by the head: else the black around it would leave a bright rim.
    weight = cv2.GaussianBlur(inside, (0, 0), sigma) + 1e-3
    level = cv2.GaussianBlur(image * inside, (0, 0), sigma) / weight
    gain = np.exp(rng.uniform(-1.2, 1.1))
    result: Image = np.clip(inside * (level + gain * (image - level)), 0.0, 1.0).astype(np.float32)
    return result


def _change_greys(image: Image, rng: np.random.Generator, settings: AugmentSettings) -> Image:
    """Apply the random changes of grey value to float32 (n, n) in 0..1."""
    if rng.random() < settings.resolution:
        image = _lose_resolution(image, rng)
    if rng.random() < settings.sharpen:
        blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 2.0))
        image = np.clip(image + rng.uniform(0.3, 1.5) * (image - blurred), 0.0, 1.0)
    if settings.convolution > 0.0 and rng.random() < settings.convolution:
        image = _random_convolution(image, rng)
    if settings.local_contrast > 0.0 and rng.random() < settings.local_contrast:
        image = _change_local_contrast(image, rng)
    if rng.random() < settings.curve:
        image = _random_curve(image, rng)
    if rng.random() < settings.invert:
        # Black stays black: air is air in every weighting.
        inside = np.clip(image * 8.0, 0.0, 1.0)
        image = inside * (1.0 - 0.85 * image)
    if rng.random() < settings.bias_field:
        coarse = rng.uniform(-0.4, 0.4, (3, 3)).astype(np.float32)
        field = cv2.resize(coarse, image.shape[::-1], interpolation=cv2.INTER_CUBIC)
        image = image * np.exp(field)
    if rng.random() < settings.noise:
        sigma = rng.uniform(0.005, 0.06)
        noise = rng.standard_normal(image.shape, dtype=np.float32) * sigma
        image = image + noise
    image = np.clip(image, 0.0, 1.0)
    if rng.random() < settings.jpeg:
        image = _jpeg(image, int(rng.integers(15, 90)))
    # `prepare` has set the brightest values to 1; a file whose bright spot is not the head
    # comes out darker or more clipped than that.
    result: Image = np.clip(image * np.exp(rng.uniform(-0.25, 0.2)), 0.0, 1.0).astype(np.float32)
    return result


def _random_curve(image: Image, rng: np.random.Generator) -> Image:
    """Pass grey values through a random rising curve from 0 to about 1."""
    knots = int(rng.integers(3, 7))
    steps = rng.gamma(1.5, 1.0, knots)
    values = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
    table = np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, knots + 1), values)
    # Mixed with the straight line: half-way between this scanner and a wild one.
    share = rng.uniform(0.2, 1.0)
    table = share * table + (1 - share) * np.linspace(0, 1, 256)
    index = np.rint(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)
    result: Image = table.astype(np.float32)[index]
    return result


def _lose_resolution(image: Image, rng: np.random.Generator) -> Image:
    if rng.random() < 0.5:
        found: Image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6))
        return found
    small = max(8, int(image.shape[0] / rng.uniform(1.3, 3.0)))
    shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    result: Image = cv2.resize(shrunk, image.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return result


def _jpeg(image: Image, quality: int) -> Image:
    pixels = np.rint(image * 255).astype(np.uint8)
    ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert ok and decoded is not None
    result: Image = decoded.astype(np.float32) / 255.0
    return result

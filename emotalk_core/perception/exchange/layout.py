"""A TalkingGaussian or ER-NeRF subject folder in; lists of its files and their pictures out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from emotalk_core.errors import InputError
from emotalk_core.media.atomic import atomic_path

FRAMES, SHOWN_FRAMES = "ori_imgs", "gt_imgs"  # as filmed; the person over the clean plate
TORSO, PLATE = "torso_imgs", "bc.jpg"
PARSING, TEETH = "parsing", "teeth_mask"
SOUND, ACTION_UNITS = "aud.wav", "au.csv"
TRAIN, TEST = "transforms_train.json", "transforms_val.json"
PICTURES = (".jpg", ".png")
# Extractor -> file of its features; every other extractor of ours has aud_{name}.npy.
FEATURES = {
    "deepspeech": "aud_ds.npy",
    "wav2vec2": "aud_eo.npy",
    "hubert": "aud_hu.npy",
    "ave": "aud_ave.npy",
}
UNNAMED_FEATURES = "aud.npy"  # older folders: DeepSpeech, or what --extractor says
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111)  # 4:4:4


def features_name(extractor: str) -> str:
    """File name of an extractor's features."""
    return FEATURES.get(extractor, f"aud_{extractor}.npy")


def numbered_files(folder: Path, suffixes: tuple[str, ...], n_frames: int = 0) -> list[Path]:
    """The files 0, 1, 2, ... of a folder in the order of their numbers.

    Args:
        folder: one file a frame, named by the frame's number.
        suffixes: which files count; where several are there, the first suffix is taken.
        n_frames: how many there must be; 0: as many as the highest number says.

    Raises:
        InputError: a number is missing, or there are other ones than 0 .. n_frames - 1.
    """
    found: dict[int, Path] = {}
    for suffix in reversed(suffixes):
        for path in sorted(folder.glob(f"*{suffix}")):
            if path.stem.isdecimal():
                found[int(path.stem)] = path
    if not found:
        raise InputError(
            f"{folder}: holds no files 0{suffixes[0]}, 1{suffixes[0]}, ...; extract them"
        )
    wanted = n_frames or max(found) + 1
    for number in range(wanted):
        if number not in found:
            path = folder / f"{number}{suffixes[0]}"
            raise InputError(
                f"{path}: missing: wanted one file a frame (0 .. {wanted - 1}), "
                f"found {len(found)}; make it with the tool that made the others"
            )
    if max(found) >= wanted:
        raise InputError(
            f"{found[max(found)]}: beyond the clip's {wanted} frames (0 .. {wanted - 1}); "
            "remove it, or add the frames"
        )
    return [found[number] for number in range(wanted)]


def read_picture(path: Path, shape: tuple[int, int] | None = None) -> UInt8[np.ndarray, "H W C"]:
    """RGB or RGBA pixels of a picture file.

    Raises:
        InputError: not readable, or another size than `shape` (height, width).
    """
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint8:
        raise InputError(f"{path}: not readable as a picture of 8 bits; make it again")
    if shape is not None and picture.shape[:2] != shape:
        raise InputError(
            f"{path}: {picture.shape[1]}x{picture.shape[0]} px: wanted {shape[1]}x{shape[0]} as "
            "the other frames; make it again"
        )
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(picture, code)


def write_picture(path: Path, picture: UInt8[np.ndarray, "H W C"]) -> None:
    """Write RGB or RGBA by the path's suffix (.jpg: best quality), whole or not at all.

    Raises:
        InputError: the disk is full or not writable.
    """
    code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    parameters = JPEG if path.suffix == ".jpg" else ()
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(picture, code), parameters):
            raise InputError(f"cannot write {path}; free disk space and type the command again")


def read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A mask [H,W] bool of teeth.

    Raises:
        InputError: not readable or of another size.
    """
    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not readable ({error}); make it again") from error
    if mask.shape != shape:
        raise InputError(f"{path}: shape {mask.shape}: wanted {shape} as the frames; make it again")
    return mask.astype(bool)


def source_file(folder: Path) -> Path:
    """What the folder was made from: its lossless or H.264 video, else its sound."""
    for suffix in (".mkv", ".mp4"):
        path = folder / f"{folder.resolve().name}{suffix}"
        if path.is_file():
            return path
    return folder / SOUND

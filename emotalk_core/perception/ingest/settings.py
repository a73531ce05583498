"""What a user can choose about ingest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class IngestSettings:
    """Config block `ingest`.

    Attributes:
        size: side of the square frames, px, even (smoke 128, small 256, paper 512).
        min_seconds: shortest clip that is accepted, s.
        max_missing_share: share of sampled frames that may lack a face, 0..1.
        sample_seconds: a face is searched in one frame per this time, s.
        face_share: wanted height of the face (hairline to chin) over the side of the crop.
        second_face_share: another face counts from this share of the main face's height on.
        min_loudness: quietest sound that is accepted: level of its loud parts, 1 = full scale.
        min_lip_motion: clips whose lips move less are refused, outer eye distances (root mean
            square over points and frames).
        cuts: what to do with a clip in which picture and head jump from one frame to the next:
            "refuse" it, take its best part ("best_part": the longest one that shows a face), or
            "ignore" the jumps.
        correct_offset: shift the sound when it is clearly early or late.
        min_offset_confidence: below this the offset is written down but not applied, 0..1.
        min_offset_seconds: smaller offsets lie within the estimate's error and are left, s.
        max_offset_seconds: clips with larger offsets are refused, s (at most .6 are found).
        refuse_foreign_sound: refuse clips of 10 s or more whose lips fit no shift of the sound.
    """

    size: int = 256
    min_seconds: float = 3.0
    max_missing_share: float = 0.2
    sample_seconds: float = 0.4
    face_share: float = 0.58
    second_face_share: float = 0.5
    min_loudness: float = 0.002
    min_lip_motion: float = 0.006
    cuts: str = "refuse"
    correct_offset: bool = True
    min_offset_confidence: float = 0.1
    min_offset_seconds: float = 0.02
    max_offset_seconds: float = 0.4
    refuse_foreign_sound: bool = True

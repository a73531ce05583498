"""What the actor says: short texts of this project that contain all sounds of English."""

from __future__ import annotations

SENTENCES = (
    "Every morning the baker opens his shop before the birds begin to sing.",
    "Please move the blue vase from the piano to the big wooden table.",
    "My father found five maps of the valley behind a broken clock.",
    "We should have measured the beige box before we brought it home.",
    "The young judge chose a yellow jacket for her journey to the north.",
    "Bob and Pam prefer warm bread with butter, plum jam and a pot of tea.",
    "Nobody knew why the ship was waiting so long outside the harbour.",
    "She whispered a few words, and the whole room became quiet.",
    "In my opinion, people change more slowly than the places they live in.",
    "How many of these old photographs would you like to keep?",
    "The weather is lovely now, but the wind may bring rain by evening.",
    "Thank you for watching, and please remember to water the fern.",
    "Could you show me the path through the forest?",
    "Fresh air and a good book make me happy.",
    "Voices carry far over calm water.",
    "Maybe we will meet again in May.",
    "Of course, I never said that.",
    "Wow, what a beautiful view!",
)

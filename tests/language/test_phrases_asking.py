"""Questions are requests; what limits and what negates is never dropped."""

from __future__ import annotations

import pytest

from language.street import chosen

QUESTIONS = [
    ("which car is the largest?", "car4"),
    ("which cars are red?", "car1 car3"),
    ("which car is red?", "car1 car3"),
    ("which of the cars is the largest?", "car4"),
    ("which of the cars are red?", "car1 car3"),
    ("which one is the largest car?", "car4"),
    ("which car is closest to the dog?", "car3"),
    ("which car is second from the left?", "car2"),
    ("which two cars are the largest?", "car2 car4"),
    ("which person is next to the dog?", "person2"),
    ("which car isn't red?", "car2 car4"),
    ("can you show me where the dog is?", "dog"),
    ("where are the planes?", "plane1 plane2"),
    ("where is the dog located?", "dog"),
    ("who is next to the dog?", "person2"),
    ("who is on the left?", "person1"),
    ("what is next to the dog?", "person2"),
    ("do you see the dog?", "dog"),
    ("which of these cars is closest to the dog?", "car3"),
    ("which of the two planes is on the left?", "plane1"),
    ("can you tell me which car is second from the left?", "car2"),
    ("whats the largest car?", "car4"),
    ("I would like to know which plane is the largest", "plane1"),
]
CLAUSES = [
    ("cars which are red", "car1 car3"),
    ("the person who is next to the dog", "person2"),
    ("cars which are not red", "car2 car4"),
    ("the cars, which are red", "car1 car3"),
    ("the car that sits on the left", "car1"),
]
LIMITS = [
    ("the cars, but only the red ones", "car1 car3"),
    ("all cars, only the red ones", "car1 car3"),
    ("the cars, but only the largest two", "car2 car4"),
    ("the cars, the red ones only", "car1 car3"),
    ("cars, only red", "car1 car3"),
    ("the cars, but only on the left", "car1"),
    ("everything, but only the cars", "car1 car2 car3 car4"),
    ("the car, the blue one", "car2"),
    ("all cars, but only those that are red", "car1 car3"),
    ("the planes and the cars, but only the red ones", "car1 car3"),
    ("nothing but the cars", "car1 car2 car3 car4"),
    ("the dog and nothing else", "dog"),
    ("cars that are not red but blue", "car2"),
    ("not the red car but the blue one", "car2"),
]
NEGATIONS = [
    ("non-red cars", "car2 car4"),
    ("the not red cars", "car2 car4"),
    ("the non-red cars and the dog", "car2 car4 dog"),
    ("cars that are neither red nor blue", "car4"),
    ("cars, no red ones", "car2 car4"),
    ("cars, but no red ones", "car2 car4"),
    ("cars but don't include the red ones", "car2 car4"),
    ("nonred cars", "car2 car4"),
    ("not the red car, the blue one", "car2"),
    ("ignore the red cars, show the blue ones", "car2"),
    ("everything that is not a car", "dog person1 person2 plane1 plane2"),
    ("cars that are not on the left or right", "car2 car3"),
    ("which car is neither the leftmost nor the rightmost?", "car2 car3"),
    ("all cars minus the red ones", "car2 car4"),
]


@pytest.mark.parametrize(("text", "expected"), [*QUESTIONS, *CLAUSES, *LIMITS, *NEGATIONS])
def test_what_is_meant_is_chosen_and_every_word_is_used(text: str, expected: str) -> None:
    names, resolution = chosen(text)
    assert names == expected
    assert resolution.unknown == ()

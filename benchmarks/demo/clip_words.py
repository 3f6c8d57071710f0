"""Words for photographs: the ten CIFAR classes, and things that none of our pictures shows."""

from __future__ import annotations

from slicedb.demo.lists import phrases, table

_SINGULARS = table(
    """
    airplane: airplane, plane, aeroplane, jet
    automobile: automobile, car, car
    bird: bird
    cat: cat, kitten
    deer: deer
    dog: dog, puppy
    frog: frog, toad
    horse: horse, pony
    ship: ship, boat
    truck: truck, lorry
    """
)
_PLURALS = table(
    """
    airplane: airplanes, planes, aeroplanes, jets
    automobile: automobiles, cars, cars
    bird: birds
    cat: cats, kittens
    deer: deer
    dog: dogs, puppies
    frog: frogs, toads
    horse: horses, ponies
    ship: ships, boats
    truck: trucks, lorries
    """
)

OBJECTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    name: (_SINGULARS[name], _PLURALS[name]) for name in _SINGULARS
}
"""Class name to its singulars and plurals, the class's own name first."""

KINDS: dict[str, str] = {
    name: "vehicle" if name in ("airplane", "automobile", "ship", "truck") else "animal"
    for name in OBJECTS
}

TEMPLATES = phrases(
    """
    a photo of a {}, {}, a {}, a photo of the {}, a photo of a {}., a picture of a {}
    an image of a {}, a blurry photo of a {}, a low resolution photo of a {}, a photo of one {}
    a close-up photo of a {}, a bad photo of a {}, a good photo of a {}, a small {}
    a photo of a small {}, a photo of a large {}, a cropped photo of a {}, a bright photo of a {}
    a photo of my {}, the {}
    """
)
PLURAL_TEMPLATES = ("{}", "a photo of {}", "photos of {}", "pictures of {}")

NOTHING = tuple(
    """
    person man woman child face hand crowd house building castle bridge tower street road city
    village beach mountain forest tree grass river lake sky cloud sun moon star snow rain garden
    desert computer keyboard phone screen camera television radio clock watch book newspaper letter
    text number logo map chart poster painting drawing statue sculpture toy doll ball guitar piano
    violin drum chair sofa bed lamp window door wall floor stairs room kitchen bathroom office
    school hospital church museum station airport factory shop market hammer saw drill wheel engine
    bicycle motorcycle train bus tractor helicopter rocket tent umbrella hat shirt dress shoe glove
    bag suitcase box bottle key coin ring mirror brush comb soap elephant lion tiger bear monkey
    giraffe zebra snake spider butterfly bee whale shark rabbit mouse sheep cow pig goat chicken
    duck rose cactus mushroom stone sand fire smoke ice thing object scene background pattern
    texture colour red green blue yellow black white
    """.split()
)
"""Nouns whose captions are true of no training picture: they push unknown words away."""

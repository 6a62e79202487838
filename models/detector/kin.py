"""Which clips of a pool are kin: those that show one scene, and the pages of one family.

Serves `models.detector.pair_plans`.
"""

from models.training.descriptor_pool import Footage

# Set by hand. A copy that no label names teaches the network to look away, so these are cautious.
TWIN_SIMILARITY = 0.72  # from here on two frames may show one scene; higher lets copies in
TWIN_SHARE = 0.2  # of a clip's frames: a few alike, as black or titles, make no twins


def twins_of(pool: list[Footage]) -> list[set[int]]:
    """For each clip, itself and the clips that show the same scene.

    Pages of one family look alike and are no twins: to tell them apart is what they are for.
    """
    # Every clip is compared with every other: half of the frames tell as much in a quarter.
    looks = [footage.descriptors[0][::2] for footage in pool]
    found = [{number} for number in range(len(pool))]
    for one in range(len(pool)):
        for other in range(one + 1, len(pool)):
            if pool[one].family is not None or pool[other].family is not None:
                continue
            best = (looks[one] @ looks[other].T).max(axis=1)
            if (best > TWIN_SIMILARITY).mean() > TWIN_SHARE:
                found[one].add(other)
                found[other].add(one)
    return found


def siblings_of(pool: list[Footage]) -> list[list[int]]:
    """The clips of each family that has several."""
    families: dict[str, list[int]] = {}
    for number, footage in enumerate(pool):
        if footage.family is not None:
            families.setdefault(footage.family, []).append(number)
    return [clips for clips in families.values() if len(clips) > 1]

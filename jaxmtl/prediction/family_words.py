"""What families of models are called where someone reads who builds none."""

FAMILY_WORDS = {
    "mean": "the mean",
    "linear": "a straight line",
    "extra_trees": "extra trees",
    "boosted": "boosted trees",
    "network": "networks together",
    "residual": "networks and line",
    "separate": "networks one by one",
    "groups": "networks in groups",
    "mixture": "this model",
}


def said(name: str) -> str:
    """The words for a family; its own name where there are none.

    Args:
        name: as ``--method`` takes it.

    Returns:
        The words.

    Example:
        >>> said("boosted"), said("mmoe")
        ('boosted trees', 'mmoe')
    """
    return FAMILY_WORDS.get(name, name)

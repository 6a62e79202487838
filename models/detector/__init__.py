"""The pattern detector (SPD): reads a similarity matrix as a picture and boxes copied spans."""

# The table of aligners names this detector, which works on their matrices. Whichever of the two
# packages is imported first, the aligners' is loaded first; the other order is a circle.
import models.aligners  # noqa: F401

"""The pattern detector (SPD): reads a similarity matrix as a picture and boxes copied spans."""

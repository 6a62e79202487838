"""The error tree of the models.

ModelError
├── ModelFileError       a weights file is missing, damaged or not of the expected shape
├── MissingDataError     footage or a checkpoint that training needs isn't there
├── BrokenDataError      footage or captions are there and can't be read
├── RecipeError          a training recipe can't be read, or holds what it shouldn't
└── ProviderError        the execution provider that was asked for can't run here
"""


class ModelError(Exception):
    """Root of every error that the models raise on purpose."""


class ModelFileError(ModelError):
    """A weights file is missing, damaged or not of the expected shape."""


class MissingDataError(ModelError, FileNotFoundError):
    """Footage or a checkpoint that training needs isn't there."""


class BrokenDataError(ModelError, ValueError):
    """Footage or captions are there and can't be read."""


class RecipeError(ModelError, ValueError):
    """A training recipe can't be read, or holds what it shouldn't."""


class ProviderError(ModelError):
    """The execution provider that was asked for can't run here."""

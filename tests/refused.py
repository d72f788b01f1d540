"""What refuses a call, in one line, whose words the errors.json of the folder keeps."""

import pytest
from kept_errors import place_of


def check_refused(call):
    """Expects an error of the package whose sentence takes one line."""
    with pytest.raises((ValueError, TypeError, AttributeError, IndexError)) as caught:
        call()
    text = str(caught.value)
    assert text, "an error without a word"
    assert place_of(caught.value) is not None, "an error that the package has not raised"
    assert "\n" not in text

"""Sentences made of parts."""

import pytest

from sweeper.text.sentences import capital


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("block 1, lambda 0.25", "Block 1, lambda 0.25"), ("FID-10K falls", "FID-10K falls"), ("", ""), (None, "")],
)
def test_a_sentence_begins_with_a_capital_and_the_rest_stays(text, sentence):
    assert capital(text) == sentence

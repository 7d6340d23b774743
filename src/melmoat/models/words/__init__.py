"""Words from the frame-wise probabilities of phonemes or letters: a lexicon and a language model.

:func:`melmoat.models.words.english.phonemes` and :func:`melmoat.models.words.english.letters` make
decoders for English. :class:`melmoat.models.words.search.Search` takes any lexicon and any language
model.
"""

"""A page to try attacks and defenses on one recording: ``melmoat studio``.

:mod:`melmoat.studio.session` computes and needs no Gradio, :mod:`melmoat.studio.choices` says what
may be asked, :mod:`melmoat.studio.recipe` writes the same run as commands and as Python,
:mod:`melmoat.studio.showing` draws it, and :mod:`melmoat.studio.page` is the page.
"""

import os

# Gradio reads these when it is imported. It would report its use to its makers.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

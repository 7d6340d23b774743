"""Doctests of modules that need an extra are collected where the extra is installed."""

from importlib.util import find_spec

STUDIO = ["src/melmoat/studio/page.py", "src/melmoat/studio/serving.py"]
collect_ignore = [] if find_spec("gradio") else STUDIO

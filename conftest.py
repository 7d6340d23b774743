"""What has no doctests and imports Gradio, which takes seconds, is not collected."""

collect_ignore = ["src/melmoat/studio/page.py", "src/melmoat/studio/serving.py"]

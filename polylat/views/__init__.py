"""Renderers: pictures, pages and traces of what the analysis found. They compute nothing."""

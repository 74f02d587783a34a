"""`rival demo` where it cannot be served."""

import importlib.util

from command import rival


def test_without_gradio(monkeypatch):
    """Before a model is looked for."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = rival("demo", "--model", "nowhere")
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: The demo needs gradio; it comes with pip install 'rival-jax[demo]'.\n"


def test_a_port_that_is_none(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    result = rival("demo", "--port", 65536)
    assert (result.code, result.err) == (2, "error: port is 65536, but must be from 1 to 65535.\n")

"""The web application: one blueprint a file, put together by `create_app`."""

from brain_cnn.web.factory import create_app, serve

__all__ = ["create_app", "serve"]

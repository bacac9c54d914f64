"""The demo: a page on this machine where one draws a few pictures of a class and sees a generator of it."""

from meta_gan.demo.answers import Answer, Demo, Request

__all__ = ["Answer", "Demo", "Request"]

"""The demo's sockets. Its pages are in urls.py."""

from django.urls import path

from .consumers import PricesConsumer

websocket_urlpatterns = [
    path("ws/prices/", PricesConsumer.as_asgi()),
]

"""The demo's pages over HTTP. Its sockets are in routing.py."""

from django.contrib import admin
from django.urls import include, path

from wsorigin.views import handshake_urls

from .routing import websocket_urlpatterns
from .views import home

urlpatterns = [
    path("", home),
    path("admin/", admin.site.urls),
    path("wsorigin/", include("wsorigin.urls")),
    *handshake_urls(websocket_urlpatterns),
]

"""
The URLs to include: ``path("wsorigin/", include("wsorigin.urls"))``.
"""

from django.urls import path

from .views import TicketView

app_name = "wsorigin"

urlpatterns = [
    path("ticket/", TicketView.as_view(), name="ticket"),
]

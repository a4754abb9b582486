"""
Pages of our own in the admin's frame: their addresses, their rendering, the way back.

What is on them is the business of each admin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

if TYPE_CHECKING:
    PagesModelAdmin = admin.ModelAdmin[Any]
else:
    PagesModelAdmin = object


class Pages(PagesModelAdmin):
    """What an admin needs to have pages of its own."""

    def page_url(self, route: str, view: Callable[..., HttpResponse]) -> URLPattern:
        """Return the URL of a page, named after the model and its route's last part."""
        name = f"{self._url_prefix}_{route.rpartition('/')[2]}"
        return path(f"{route}/", self.admin_site.admin_view(view), name=name)

    def page(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any]
    ) -> TemplateResponse:
        """Render a page of our own, from a template in the model's folder."""
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            f"admin/{self.opts.app_label}/{self.opts.model_name}/{template}",
            {
                **self.admin_site.each_context(request),
                **context,
                "title": title,
                "opts": self.opts,
                "media": self.media,
                "has_view_permission": self.has_view_permission(request),
            },
        )

    def way_back(self, request: HttpRequest) -> str:
        """Return where to go when a page is done: to the list, for who may see it."""
        name = "index"
        if self.has_view_permission(request):
            name = f"{self._url_prefix}_changelist"
        return reverse(f"admin:{name}", current_app=self.admin_site.name)

    @property
    def _url_prefix(self) -> str:
        """How Django names the URLs of this model's admin."""
        return f"{self.opts.app_label}_{self.opts.model_name}"

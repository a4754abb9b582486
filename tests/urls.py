"""No HTTP routes: the suite speaks WebSocket."""

urlpatterns: list[object] = []

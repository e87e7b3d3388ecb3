"""The application: every page, the static files, and the login before all of them."""

from __future__ import annotations

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends, FastAPI, Request
from fastapi.responses import RedirectResponse

from dashboard import static_files
from dashboard.errors import add_error_pages
from dashboard.shell import all_pages

# A route and not a mount for everything: dependencies of the application do not reach what is mounted in it.
app = FastAPI(
    title="Regulars", docs_url=None, redoc_url=None, openapi_url=None,
    dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
)  # fmt: skip
app.state.pages = all_pages()
app.include_router(static_files.router)
for page in app.state.pages:
    app.include_router(page.router)
add_error_pages(app)


@app.get("/")
def first_page(request: Request) -> RedirectResponse:
    """The address without a page leads to the first one."""
    return RedirectResponse(f"{request.scope['root_path']}/{app.state.pages[0].name}")

"""The browser helper, in a real Chromium, against a real Daphne behind real proxies."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import BrowserContext, Page

from .browser import open_browser
from .doctor.stand_ins import certificate
from .helper.fronts import Front
from .pages import texts_in
from .servers import processes
from .servers.processes import Server, ending
from .servers.sites import environment, manage, sqlite
from .services import installed_from_npm

pytestmark = pytest.mark.browser

HELPER: Final = Path(__file__).parent / "helper"
HOWTO: Final = HELPER.parents[1] / "docs/howto/browser-helper.md"
TICKET_URL: Final = "/wsorigin/ticket/"
MINUTE: Final = 60_000
PATIENCE: Final = 30.0

DAPHNE: Final = processes.DAPHNE.serving("tests.helper.application:application")


@dataclass
class World:
    """The site behind several fronts, and addresses where something is wrong."""

    site: Front
    other: Front
    dropping: Front
    secure: Front
    public: Front
    silent: Front
    broken: Front
    down: str

    @property
    def public_origin(self) -> str:
        return f"http://public.example:{self.public.port}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One site, and every front that this module needs."""
    folder = tmp_path_factory.mktemp("site")
    env = environment("tests.helper.settings", sqlite(folder / "site.sqlite3"))
    manage("migrate", "--verbosity=0", env=env)
    _, tls = certificate(folder, "127.0.0.1")
    # Its port listens from now on: what comes early waits until Daphne is there.
    server = Server.start(DAPHNE, folder / "log", env)
    with ending([server]), ExitStack() as fronts, socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # and never listens
        nowhere: tuple[str, int] = reserved.getsockname()
        yield World(
            *(
                fronts.enter_context(front.running())
                for front in (
                    Front(server.address),
                    Front(server.address),
                    Front(server.address, drops_upgrade=True),
                    Front(server.address, tls=tls),
                    Front(server.address),
                    Front(None),
                    Front(nowhere),
                )
            ),
            down=f"ws://127.0.0.1:{nowhere[1]}",
        )


@pytest.fixture(scope="module")
def browser(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """One browser, to which one of the fronts is somewhere on the internet."""
    arguments = [
        "--host-resolver-rules=MAP *.example 127.0.0.1",
        f"--ip-address-space-overrides=127.0.0.1:{world.public.port}=public",
    ]
    profile = tmp_path_factory.mktemp("profile")
    with open_browser(profile, arguments, ignore_https_errors=True) as browser:
        yield browser


@pytest.fixture
def page(browser: BrowserContext, world: World) -> Iterator[Page]:
    """A page in a browser that has never been anywhere, with nothing noted yet."""
    browser.clear_cookies()
    for front in vars(world).values():
        if isinstance(front, Front):
            front.requests.clear()
    with browser.new_page() as page:
        yield page


def visit(page: Page, origin: str, path: str = "/page/") -> None:
    """Load a page, and wait until it has the helper."""
    page.goto(origin + path)
    page.wait_for_function("window.helper")


def explain(page: Page, url: str, **options: Any) -> dict[str, Any]:
    """Let the page explain an address."""
    script = "([url, options]) => helper.explain(url, options)"
    explanation: dict[str, Any] = page.evaluate(script, [url, options])
    return explanation


def connect(page: Page, url: str, **options: Any) -> None:
    """Let the page connect to an address, and note what becomes of it."""
    page.evaluate(
        """([url, options]) => {
            const note = (list) => ({ data, detail }) => list.push(detail ?? data);
            Object.assign(window, { states: [], messages: [], explanations: [] });
            window.connection = helper.connect(url, options);
            connection.addEventListener("state", note(states));
            connection.addEventListener("message", note(messages));
            connection.addEventListener("explanation", note(explanations));
        }""",
        [url, options],
    )


def wait_for_state(page: Page, state: str, times: int = 1) -> float:
    """Wait until a state was reached so often; return the delay that came with it."""
    script = """([state, times]) => {
        const reached = states.filter((one) => one.state === state);
        return reached.length === times && reached.at(-1);
    }"""
    return float(
        page.wait_for_function(script, arg=[state, times]).json_value()["delay"]
    )


def wait_for_explanation(page: Page) -> dict[str, Any]:
    """Wait for the first explanation."""
    explanation: dict[str, Any] = page.wait_for_function("explanations[0]").json_value()
    return explanation


@pytest.fixture
def frozen(page: Page, world: World) -> Iterator[Page]:
    """A page of the site, somebody logged in, on which no time passes."""
    page.clock.install(time=0)
    visit(page, world.site.origin, "/log-in/")
    page.clock.pause_at(MINUTE)
    yield page
    page.clock.resume()  # the clock is the whole browser's


def run_until(page: Page, condition: str, step: int = 10) -> None:
    """Let time pass on the frozen clock, in small steps, until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.clock.run_for(step)


# What explain() says


@dataclass(frozen=True)
class Case:
    """A page, an address, and what has to be said about them."""

    reason: str
    page: Callable[[World], str]
    url: Callable[[World], str]
    detail: str = ""
    final: bool = False
    options: tuple[tuple[str, Any], ...] = ()


def site(world: World) -> str:
    return f"{world.site.origin}/page/"


def with_policy(policy: str) -> Callable[[World], str]:
    return lambda world: f"{world.site.origin}/page/?csp=connect-src {policy}"


CASES: Final = {
    "untrusted origin": Case(
        "origin-refused",
        site,
        lambda world: f"{world.other.socket}/ws/plain/",
        detail="answers, but does not let http://127.0.0.1:",
    ),
    "upgrade dropped": Case(
        "not-upgraded",
        lambda world: f"{world.dropping.origin}/page/",
        lambda _: "/ws/plain/",
    ),
    "mixed content": Case(
        "mixed-content",
        lambda world: f"{world.secure.origin}/page/",
        lambda _: "ws://site.example/ws/plain/",
        detail="insecure WebSocket connection",
        final=True,
    ),
    "policy without the address": Case(
        "csp",
        with_policy("'self'"),
        lambda world: f"{world.other.socket}/ws/plain/",
        detail="connect-src 'self'",
        final=True,
    ),
    "policy without the scheme": Case(
        "csp",
        with_policy("'self' http:"),
        lambda world: f"{world.other.socket}/ws/plain/",
        detail="connect-src 'self' http:",
        final=True,
    ),
    "policy without the preflight": Case(
        "unknown",
        with_policy("'self' ws:"),
        lambda world: f"{world.other.socket}/ws/plain/",
        detail="in connect-src, a preflight could tell more.",
    ),
    "local network": Case(
        "local-network",
        lambda world: f"{world.public_origin}/page/",
        lambda world: f"{world.site.socket}/ws/plain/",
        detail='"loopback-network" is: denied.',
    ),
    "no login": Case(
        "auth",
        site,
        lambda _: "/ws/prices/",
        options=(("ticketUrl", TICKET_URL),),
        final=True,
    ),
    "no ticket": Case(
        "auth",
        site,
        lambda _: "/ws/prices/",
        detail="This endpoint asks for a token.",
        final=True,
    ),
    "no such ticket endpoint": Case(
        "unknown",
        site,
        lambda _: "/ws/prices/",
        detail="/nowhere/ answered 404",
        options=(("ticketUrl", "/nowhere/"),),
    ),
    "ticket endpoint down": Case(
        "unreachable",
        site,
        lambda _: "/ws/plain/",
        detail="http://127.0.0.1:9/",
        options=(("ticketUrl", "http://127.0.0.1:9/"),),
    ),
    "server down": Case("unreachable", site, lambda world: f"{world.down}/ws/plain/"),
    "server down behind a proxy of another origin": Case(
        "origin-refused",  # nothing of it can be read, so that it looks the same
        site,
        lambda world: f"{world.broken.socket}/ws/plain/",
        detail="answers, but does not let",
    ),
    "no answer": Case(
        "timeout",
        site,
        lambda world: f"{world.silent.socket}/ws/plain/",
        options=(("timeout", 300),),
    ),
    "wrong path": Case(
        "unknown",
        site,
        lambda _: "/ws/nowhere/",
        detail="GET /ws/nowhere/ answers 404",
    ),
    "missing slash": Case(
        "unknown",
        site,
        lambda _: "/ws/plain",
        detail="/ws/plain/, and a WebSocket follows no redirect.",
    ),
    "no guard": Case(
        "unknown",
        site,
        lambda _: "/ws/unguarded/",
        detail="No guard of wsorigin stands at this endpoint.",
    ),
    "fragment": Case(
        "unknown",
        site,
        lambda _: "/ws/plain/#top",
        detail="fragment",
        final=True,
    ),
    "nothing wrong": Case(
        "unknown",
        site,
        lambda _: "/ws/plain/",
        detail="A handshake opens now",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_explains(case: Case, world: World, page: Page) -> None:
    """Each cause has its reason, what was seen, and whether it can pass by itself."""
    visit(page, "", case.page(world))

    explanation = explain(page, case.url(world), **dict(case.options))

    assert explanation["reason"] == case.reason, explanation
    assert case.detail in explanation["detail"]
    assert explanation["final"] is case.final
    assert explanation["sentence"].endswith(".")


def test_explains_a_server_that_is_down_behind_a_proxy(
    world: World, page: Page
) -> None:
    """The proxy's own answer says that it is not the origin."""
    visit(page, world.site.origin)
    there, world.site.behind = world.site.behind, world.broken.behind
    try:
        explanation = explain(page, "/ws/plain/")
    finally:
        world.site.behind = there

    assert explanation["reason"] == "unreachable"
    assert "answers 502" in explanation["detail"]


def test_explains_that_it_is_offline(
    world: World, page: Page, browser: BrowserContext
) -> None:
    """Without a network nothing else is asked."""
    visit(page, world.site.origin)
    browser.set_offline(True)
    try:
        explanation = explain(page, "/ws/plain/")
    finally:
        browser.set_offline(False)

    assert explanation["reason"] == "offline"


@pytest.mark.parametrize(
    ("code", "reason", "final"),
    [
        (4401, "auth", True),
        (4403, "origin-refused", True),
        (4410, "auth", True),
        (4419, "auth", False),
    ],
)
def test_explains_a_close_code(
    code: int, reason: str, final: bool, world: World, page: Page
) -> None:
    """The guard's own codes are proofs; no handshake is made to find out more."""
    visit(page, world.site.origin)

    explanation = page.evaluate(
        """(code) => helper.explain("/ws/plain/", {
            cause: new CloseEvent("close", { code, reason: "said so" }),
        })""",
        code,
    )

    assert (explanation["reason"], explanation["final"]) == (reason, final)
    assert explanation["detail"] == "said so"
    assert world.site.handshakes() == []


def test_explains_in_a_worker(world: World, page: Page) -> None:
    """There, no document is at hand, and the module works as well."""
    page.route(
        "**/worker.js",
        lambda route: route.fulfill(
            content_type="text/javascript",
            body="""
                import { explain } from "/static/wsorigin/wsorigin.js";
                postMessage([await explain("/ws/plain/"), await explain("/ws/nowhere/")]);
            """,
        ),
    )
    visit(page, world.site.origin)

    works, fails = page.evaluate(
        """() => new Promise((resolve) => {
            const worker = new Worker("/worker.js", { type: "module" });
            worker.onmessage = ({ data }) => resolve(data);
        })"""
    )

    assert works["answer"]["allowed"] is True
    assert "GET /ws/nowhere/ answers 404" in fails["detail"]


def test_the_preflight_over_http_spares_a_handshake(world: World, page: Page) -> None:
    """Where the page may read that it is refused, the guard has to refuse it once."""
    visit(page, world.site.origin)

    explanation = explain(page, "/ws/chat/")

    assert explanation["answer"]["endpoint"] == "/ws/chat/"
    assert explain(page, "/ws/prices/")["answer"]["reason"] == "token-required"
    assert [request.path for request in world.site.handshakes()] == ["/ws/chat/"]


# What connect() does


@pytest.mark.parametrize(
    ("code", "reason"), [(4401, "auth"), (4403, "origin-refused"), (4410, "auth")]
)
def test_stops_for_good(code: int, reason: str, world: World, frozen: Page) -> None:
    """4401, 4403 and 4410: no new attempt, ever; one explanation."""
    connect(frozen, f"/ws/plain/?close={code}")
    wait_for_state(frozen, "stopped")
    explanation = wait_for_explanation(frozen)

    frozen.clock.run_for(10 * MINUTE)
    frozen.evaluate("fetch('/page/')")
    assert len(world.site.handshakes()) == 1
    assert len(world.site.sent("GET", "/ws/plain/")) == (code == 4403)
    assert explanation["reason"] == reason
    assert frozen.evaluate("explanations.length") == 1
    assert [state["state"] for state in frozen.evaluate("states")] == [
        "open",
        "stopped",
    ]


def test_backs_off(world: World, frozen: Page) -> None:
    """Each time it waits longer, from one second to thirty, and never less."""
    connect(frozen, "/ws/plain/?close=4000")
    delays = []
    for attempt in range(1, 8):
        delays.append(wait_for_state(frozen, "waiting", attempt))
        frozen.clock.run_for(int(delays[-1]))
        frozen.evaluate("fetch('/page/')")  # an attempt would have come before this
        assert len(world.site.handshakes()) == attempt
        frozen.clock.run_for(1)

    bounds = [(1, 2), (2, 4), (4, 8), (8, 16), (15, 30), (15, 30), (15, 30)]
    for delay, (least, most) in zip(delays, bounds, strict=True):
        assert least * 1000 <= delay <= most * 1000
    assert len(set(delays)) == len(delays)


def test_health_ends_the_back_off(world: World, frozen: Page) -> None:
    """A socket that stayed open is where counting begins anew."""
    connect(frozen, "/ws/plain/", minDelay=10, maxDelay=1_000_000, healthy=5_000)
    for attempt in (1, 2, 3):
        wait_for_state(frozen, "open", attempt)
        frozen.evaluate("connection.send('4000')")
        delay = wait_for_state(frozen, "waiting", attempt)
        assert 10 * 2 ** (attempt - 1) <= delay <= 10 * 2**attempt
        frozen.clock.run_for(100)
    wait_for_state(frozen, "open", 4)
    frozen.clock.run_for(5_000)

    frozen.evaluate("connection.send('4000')")

    assert 10 <= wait_for_state(frozen, "waiting", 4) <= 20


def test_waits_for_the_network(
    world: World, frozen: Page, browser: BrowserContext
) -> None:
    """Offline, no attempt is made; back online, one at once."""
    connect(frozen, "/ws/plain/")
    wait_for_state(frozen, "open")
    frozen.evaluate("connection.send('4000')")
    wait_for_state(frozen, "waiting")
    browser.set_offline(True)
    try:
        frozen.clock.run_for(MINUTE)
        states = [state["state"] for state in frozen.evaluate("states")]
        assert states == ["open", "waiting"]
    finally:
        browser.set_offline(False)

    wait_for_state(frozen, "open", 2)
    assert len(world.site.handshakes()) == 2


def test_gives_up_on_a_socket_without_an_answer(world: World, page: Page) -> None:
    """A browser would wait for ever; and for a preflight too."""
    visit(page, world.site.origin)

    connect(page, f"{world.silent.socket}/ws/plain/", timeout=200)

    wait_for_state(page, "waiting")
    assert wait_for_explanation(page)["reason"] == "timeout"
    page.evaluate("connection.close()")


def test_reconnects_at_once_with_a_fresh_ticket(world: World, frozen: Page) -> None:
    """4419: no time has to pass, and the second ticket is another one."""
    connect(frozen, "/ws/prices/", ticketUrl=TICKET_URL, audience="prices")
    wait_for_state(frozen, "open")

    frozen.evaluate("connection.send('4419')")
    wait_for_state(frozen, "open", 2)

    first, second = (request.credential for request in world.site.handshakes())
    assert len(first) == len(second) == 68
    assert first != second
    assert len(world.site.sent("POST", TICKET_URL)) == 2
    frozen.wait_for_function("messages.length === 2")
    assert frozen.evaluate("messages") == ["ada", "ada"]


def test_a_ticket_that_is_always_too_old_is_no_tight_loop(
    world: World, frozen: Page
) -> None:
    """4419 again, before the socket was healthy, is a failure like others."""
    connect(frozen, "/ws/plain/?close=4419")

    assert 1000 <= wait_for_state(frozen, "waiting") <= 2000
    assert len(world.site.handshakes()) == 2


def test_asks_for_a_login_where_there_is_none(world: World, page: Page) -> None:
    """An ended login: no handshake, no second try, and the reason."""
    visit(page, world.site.origin, "/log-in/")
    visit(page, world.site.origin, "/log-out/")

    connect(page, "/ws/prices/", ticketUrl=TICKET_URL)

    wait_for_state(page, "stopped")
    explanation = wait_for_explanation(page)
    assert (explanation["reason"], explanation["final"]) == ("auth", True)
    assert explanation["answer"]["reason"] == "login-required"
    assert len(world.site.sent("POST", TICKET_URL)) == 1
    assert world.site.handshakes() == []


def test_waits_as_long_as_the_ticket_endpoint_asks(frozen: Page) -> None:
    """``Retry-After`` counts, where it is longer than the back-off."""
    frozen.route(
        f"**{TICKET_URL}",
        lambda route: route.fulfill(status=503, headers={"Retry-After": "90"}),
    )

    connect(frozen, "/ws/prices/", ticketUrl=TICKET_URL)

    assert wait_for_state(frozen, "waiting") == 90_000
    assert wait_for_explanation(frozen)["reason"] == "unreachable"


def test_a_session_needs_no_ticket(world: World, page: Page) -> None:
    """Without ``ticketUrl`` the cookie counts, and nothing is fetched."""
    visit(page, world.site.origin, "/log-in/")

    connect(page, "/ws/chat/", subprotocols=["chat.v1"])
    wait_for_state(page, "open")
    page.wait_for_function("messages.length === 1")

    assert page.evaluate("[connection.protocol, ...messages]") == ["chat.v1", "ada"]
    assert world.site.sent("POST", TICKET_URL) == []


def test_closes_for_good(world: World, frozen: Page) -> None:
    """Closed by the page, a connection says so once and sends nothing any more."""
    connect(frozen, "/ws/plain/")
    wait_for_state(frozen, "open")

    frozen.evaluate("connection.close()")
    frozen.clock.run_for(MINUTE)

    assert [state["state"] for state in frozen.evaluate("states")] == ["open", "closed"]
    send = "try { connection.send('') } catch (error) { error.name }"
    assert frozen.evaluate(send) == "InvalidStateError"
    assert len(world.site.handshakes()) == 1


def test_a_signal_ends_it_too(world: World, page: Page) -> None:
    """Even an attempt that has no answer yet; its end is not explained."""
    visit(page, world.site.origin)

    states = page.evaluate(
        """async (url) => {
            const controller = new AbortController();
            const { signal } = controller;
            const connection = helper.connect(url, { signal });
            const states = [];
            connection.addEventListener("state", ({ detail }) => states.push(detail.state));
            connection.addEventListener("explanation", () => states.push("explained"));
            await new Promise((resolve) => setTimeout(resolve));
            controller.abort();
            await fetch("/page/");
            return states;
        }""",
        f"{world.silent.socket}/ws/plain/",
    )

    assert states == ["closed"]


@pytest.mark.parametrize("name", ["mixed content", "policy without the address"])
def test_stops_where_the_page_itself_forbids_it(
    name: str, world: World, page: Page
) -> None:
    """An exception, or an error that no close follows: neither can ever pass."""
    case = CASES[name]
    visit(page, "", case.page(world))

    connect(page, case.url(world))

    wait_for_state(page, "stopped")
    assert wait_for_explanation(page)["reason"] == case.reason


def test_explains_an_outage_once_and_goes_on(world: World, frozen: Page) -> None:
    """What can pass by itself stops nothing."""
    connect(frozen, f"{world.down}/ws/plain/")
    for attempt in (1, 2, 3):
        delay = wait_for_state(frozen, "waiting", attempt)
        run_until(frozen, "explanations.length === 1")
        frozen.clock.run_for(int(delay) + 1)

    assert wait_for_explanation(frozen)["reason"] == "unreachable"
    frozen.evaluate("connection.close()")


def test_stops_where_the_preflight_says_so(world: World, frozen: Page) -> None:
    """A bare 1006 may be final too, once the guard has told why."""
    connect(frozen, "/ws/prices/")

    wait_for_state(frozen, "stopped")
    assert wait_for_explanation(frozen)["answer"]["reason"] == "token-required"
    frozen.clock.run_for(MINUTE)
    frozen.evaluate("fetch('/page/')")
    assert len(world.site.handshakes()) == 1


# What protocols() brings


def test_a_ticket_opens_a_socket(world: World, page: Page) -> None:
    """The list is what ``new WebSocket(url, list)`` takes, the site's own names first."""
    visit(page, world.site.origin, "/log-in/")

    first, second = page.evaluate(
        """async (ticketUrl) => {
            const options = { ticketUrl, audience: "prices", subprotocols: ["chat.v2"] };
            return [await helper.protocols(options), await helper.protocols(options)];
        }""",
        TICKET_URL,
    )

    assert first[:2] == second[:2] == ["chat.v2", "wsorigin.v1"]
    assert first[2] != second[2]
    post = world.site.sent("POST", TICKET_URL)[0]
    assert len(post.headers["x-csrftoken"]) == 32
    assert post.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "markup",
    [
        "<meta name=csrf-token content=of-the-page>",
        "<input type=hidden name=csrfmiddlewaretoken value=of-the-page>",
    ],
)
def test_finds_the_csrf_token_in_the_page(
    markup: str, world: World, page: Page, browser: BrowserContext
) -> None:
    """Where no script may read the cookie, the page has it in its markup."""
    visit(page, world.site.origin)
    browser.clear_cookies()
    page.evaluate("markup => { document.body.innerHTML = markup; }", markup)

    assert sent_csrf_token(page, world.site, TICKET_URL) == "of-the-page"


def sent_csrf_token(page: Page, front: Front, url: str, script: str = "") -> str | None:
    """Ask a ticket endpoint, and return the CSRF token that it gets."""
    page.evaluate(
        f"url => helper.protocols({{ ticketUrl: url, {script} }}).catch(() => null)",
        url,
    )
    return front.requests[-1].headers.get("x-csrftoken")


@pytest.mark.parametrize("script", ["csrfToken: 'mine'", "csrfToken: () => 'mine'"])
def test_takes_the_csrf_token_that_it_is_given(
    script: str, world: World, page: Page
) -> None:
    """As a text, or as a function that is asked each time."""
    visit(page, world.site.origin)

    assert sent_csrf_token(page, world.site, TICKET_URL, script) == "mine"


def test_tells_no_other_origin_the_csrf_token(world: World, page: Page) -> None:
    """It protects the forms of this site, so it is for this site."""
    visit(page, world.site.origin)
    world.other.requests.clear()

    assert sent_csrf_token(page, world.other, world.other.origin + TICKET_URL) is None
    assert [request.method for request in world.other.requests] == ["POST"]


def test_says_why_there_is_no_ticket(world: World, page: Page) -> None:
    """Who calls it gets the status and the endpoint's own words."""
    visit(page, world.site.origin)

    error = page.evaluate(
        """() => helper.protocols().catch((error) => ({
            isOurs: error instanceof helper.TicketError,
            message: error.message,
            status: error.status,
        }))"""
    )

    assert error == {
        "isOurs": True,
        "message": "Log in to get a ticket.",
        "status": 401,
    }


# Other people's clients


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the clients from npm; skip where that cannot be, though never in CI."""
    return installed_from_npm(HELPER, tmp_path_factory.mktemp("npm"))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("partysocket/ws", "partysocket/dist/ws.js"),
        (
            "reconnecting-websocket",
            "reconnecting-websocket/dist/reconnecting-websocket-mjs.js",
        ),
    ],
    ids=["partysocket", "reconnecting-websocket"],
)
def test_is_the_provider_of_other_clients(
    name: str, file: str, world: World, frozen: Page, packages: Path
) -> None:
    """Each attempt has a ticket of its own; the codes that stop, stop them too."""
    frozen.route(
        "**/client.js",
        lambda route: route.fulfill(
            path=packages / file, content_type="text/javascript"
        ),
    )
    frozen.evaluate(
        """() => {
            window.attempts = 0;
            window.WebSocket = class extends WebSocket {
                constructor(...what) {
                    super(...what);
                    window.attempts += 1;
                }
            };
        }"""
    )
    imports = json.dumps({"imports": {name: "/client.js"}})
    frozen.add_script_tag(type="importmap", content=imports)
    frozen.add_script_tag(
        type="module",
        content=f"""{example(f'from "{name}"')}
            Object.assign(window, {{ socket, messages: [], codes: [] }});
            socket.addEventListener("message", ({{ data }}) => messages.push(data));
            socket.addEventListener("close", ({{ code }}) => codes.push(code));
        """,
    )
    for number, code in enumerate([4000, 4419, 4410], start=1):
        # No further, or the client's limit for a handshake would be over first.
        run_until(frozen, f"attempts === {number}", step=200)
        frozen.wait_for_function("messages.length === codes.length + 1")
        frozen.evaluate("code => socket.send(`${code}`)", code)
        frozen.wait_for_function("code => codes.at(-1) === code", arg=code)
    frozen.clock.run_for(MINUTE)
    frozen.evaluate("fetch('/page/')")

    assert frozen.evaluate("messages") == ["ada"] * 3
    credentials = [request.credential for request in world.site.handshakes()]
    assert len(set(credentials)) == len(credentials) == 3


def example(part: str) -> str:
    """Return the example on the page of how to use it that contains this."""
    return next(text for text in texts_in(HOWTO.read_text(), "js") if part in text)


def test_the_example_of_a_connection_runs(world: World, page: Page) -> None:
    """As printed, with what it prints."""
    visit(page, world.site.origin, "/log-in/")

    with page.expect_console_message(lambda message: message.text == "ada"):
        page.add_script_tag(type="module", content=example("connect("))


def test_the_example_of_an_explanation_runs(world: World, page: Page) -> None:
    """As printed, to somebody without a ticket."""
    visit(page, world.site.origin)

    with page.expect_console_message(lambda message: "auth The login" in message.text):
        page.add_script_tag(type="module", content=example("await explain("))


def test_no_token_ever_stands_in_a_url(world: World, page: Page) -> None:
    """What is in a URL is in logs: nothing that the helper sends is."""
    visit(page, world.site.origin, "/log-in/")
    connect(page, "/ws/prices/?a=b", ticketUrl=TICKET_URL, audience="prices")
    wait_for_state(page, "open")
    explain(page, "/ws/prices/?a=b", ticketUrl=TICKET_URL, audience="prices")

    urls = " ".join(request.path for request in world.site.requests)
    assert "/ws/prices/?a=b" in urls
    assert "wso" not in urls.replace("/wsorigin", "")
    assert "d3Nv" not in urls
    stored = "[...Object.keys(localStorage), ...Object.keys(sessionStorage)]"
    assert page.evaluate(stored) == []

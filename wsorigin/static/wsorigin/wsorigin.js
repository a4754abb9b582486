/**
 * WebSockets for a page: opened with a fresh ticket, kept open, and explained.
 *
 * One ES module without dependencies; it stores no token and puts none into a URL.
 * Which origins are allowed is the server's to decide, and only the server knows why.
 *
 * @typedef {"origin-refused" | "not-upgraded" | "mixed-content" | "csp" | "local-network"
 *   | "auth" | "offline" | "unreachable" | "timeout" | "unknown"} Reason
 *
 * @typedef {object} Answer  What a preflight or the ticket endpoint said.
 * @property {boolean} [allowed]
 * @property {string} [reason]  The guard's own word, such as "unlisted".
 * @property {string} [detail]
 *
 * @typedef {object} Explanation
 * @property {Reason} reason
 * @property {string} sentence  What it means, for people.
 * @property {string} detail  What was seen; empty where the sentence says it all.
 * @property {boolean} final  Trying again cannot help before somebody changes something.
 * @property {Answer} [answer]
 *
 * @typedef {object} Options
 * @property {string | URL} [ticketUrl]  Without it, `connect` and `explain` use no ticket.
 * @property {string} [audience]  What the ticket is for.
 * @property {string[]} [subprotocols]  The application's own, best first.
 * @property {string | (() => string)} [csrfToken]  Instead of the one found in the page.
 * @property {Record<string, string>} [headers]  More headers for the ticket endpoint.
 * @property {number} [timeout]  Of each single step; 10 000 ms.
 * @property {AbortSignal} [signal]  Ends it all.
 *
 * @typedef {object} Pace
 * @property {number} [minDelay]  Before the first new attempt, at least; 1 000 ms.
 * @property {number} [maxDelay]  Between two attempts, at most; 30 000 ms.
 * @property {number} [healthy]  Open for so long, a socket ends the back-off; 10 000 ms.
 * @property {BinaryType} [binaryType]
 *
 * @typedef {"connecting" | "open" | "waiting" | "stopped" | "closed"} State
 */

const TIMEOUT = 10_000;
// The one event that tells the cause may come after the one that tells the failure.
const GRACE = 100;
const PREFLIGHT = "wsorigin.preflight";

// Close codes of the guard.
const CREDENTIAL = 4401;
const ORIGIN = 4403;
const REVOKED = 4410;
const EXPIRED = 4419;

/** @type {Record<Reason, string>} */
const SENTENCES = {
  "origin-refused": "The server does not trust the origin of this page.",
  "not-upgraded": "The handshake gets lost: a proxy drops its Upgrade, or the server speaks HTTP only.",
  "mixed-content": "A page that came over https may open wss: only, not ws:.",
  "csp": "The page's own Content-Security-Policy forbids it: connect-src has to list the address.",
  "local-network": "The browser keeps this page out of the local network until its user allows it.",
  "auth": "The login or the token is missing, ended, or not for this.",
  "offline": "The browser is offline.",
  "unreachable": "The server cannot be reached.",
  "timeout": "No answer came in time.",
  "unknown": "It is none of the causes that a page can recognise.",
};
const FINAL = new Set(["origin-refused", "mixed-content", "csp", "auth"]);

/** The ticket endpoint said no: with `status`, and with `answer` where it explained. */
export class TicketError extends Error {
  name = "TicketError";

  /**
   * @param {Response} response
   * @param {Answer} answer
   */
  constructor(response, answer) {
    super(answer.detail ?? `${response.url} answered ${response.status}`);
    this.answer = answer;
    this.status = response.status;
    /** How long to wait, in milliseconds. */
    this.retryAfter = 1000 * (Number(response.headers.get("Retry-After")) || 0);
  }
}

/**
 * Fetch a ticket; resolve to the second argument of `new WebSocket(url, …)`.
 *
 * A ticket opens one socket, so call this before each attempt. Rejects with a
 * TicketError, with the violation of the page's policy, or as `fetch` does.
 *
 * @param {Options} [options]  `ticketUrl` is "/wsorigin/ticket/" here.
 * @returns {Promise<string[]>}
 */
export async function protocols(options = {}) {
  const { ticketUrl = "/wsorigin/ticket/", audience = "", subprotocols = [] } = options;
  const { csrfToken = pageCsrfToken, headers, timeout = TIMEOUT, signal } = options;
  const url = absolute(ticketUrl);
  // Another origin must not learn the page's own: it protects this site's forms.
  const isOurs = csrfToken !== pageCsrfToken || url.origin === location.origin;
  const csrf = isOurs && (typeof csrfToken === "function" ? csrfToken() : csrfToken);
  const response = await request(url, {
    method: "POST",
    body: new URLSearchParams({ audience }),
    headers: { Accept: "application/json", ...(csrf && { "X-CSRFToken": csrf }), ...headers },
    credentials: "include",
    cache: "no-store",
    signal: AbortSignal.any([AbortSignal.timeout(timeout), ...(signal ? [signal] : [])]),
  });
  const answer = await readJson(response);
  if (!Array.isArray(answer.protocols)) throw new TicketError(response, answer);
  return [...subprotocols, ...answer.protocols];
}

/**
 * Open a WebSocket, and open it again whenever it ends and that can help.
 *
 * Throws TypeError where `url` is none; all else becomes an event.
 *
 * @param {string | URL} url  As `new WebSocket` takes it: relative is fine.
 * @param {Options & Pace} [options]
 */
export function connect(url, options = {}) {
  return new Connection(url, options);
}

/**
 * One WebSocket after another, to one address. It fires
 *
 * - `message`, a MessageEvent;
 * - `state`, a CustomEvent with the detail `{state, delay}`;
 * - `explanation`, a CustomEvent with an Explanation as detail, once in an outage.
 */
class Connection extends EventTarget {
  /** @type {State} */
  state = "connecting";
  /** @type {WebSocket | undefined} */
  #socket;
  #url;
  #options;
  #ended = new AbortController();
  #failures = 0;
  #renewed = false;
  #explained = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {string | URL} url
   * @param {Options & Pace} options
   */
  constructor(url, options) {
    super();
    this.#url = absolute(url, "ws");
    this.#options = options;
    const { signal } = this.#ended;
    globalThis.addEventListener("online", () => this.#wake(), { signal });
    options.signal?.addEventListener("abort", () => this.close(), { signal });
    this.#attempt();
  }

  /** The subprotocol that the server selected; "" without an open socket. */
  get protocol() {
    return this.#socket?.protocol ?? "";
  }

  /**
   * Send a message. Nothing is queued: throws InvalidStateError unless it is open.
   *
   * @param {Parameters<WebSocket["send"]>[0]} data
   */
  send(data) {
    if (!this.#socket) throw new DOMException(`It is ${this.state}.`, "InvalidStateError");
    this.#socket.send(data);
  }

  /**
   * Close it for good.
   *
   * @param {number} [code]
   * @param {string} [reason]
   */
  close(code = 1000, reason = "") {
    this.#socket?.close(code, reason);
    this.#end("closed");
  }

  async #attempt() {
    const { ticketUrl, subprotocols = [], timeout } = this.#options;
    const { signal } = this.#ended;
    this.#become("connecting");
    try {
      const offered = ticketUrl ? await protocols({ ...this.#options, signal }) : subprotocols;
      this.#keep(await open(this.#url, offered, timeout, signal));
    } catch (cause) {
      this.#lost(cause, true);
    }
  }

  /** @param {WebSocket} socket */
  #keep(socket) {
    const { healthy = 10_000, binaryType = "blob" } = this.#options;
    const health = setTimeout(() => {
      this.#failures = 0;
      this.#renewed = this.#explained = false;
    }, healthy);
    socket.binaryType = binaryType;
    socket.onmessage = ({ data, origin }) => {
      this.dispatchEvent(new MessageEvent("message", { data, origin }));
    };
    socket.onclose = (event) => {
      clearTimeout(health);
      this.#socket = undefined;
      this.#lost(event, false);
    };
    this.#socket = socket;
    this.#become("open");
  }

  /**
   * Do what the end of a socket, or of an attempt at one, calls for.
   *
   * @param {unknown} cause
   * @param {boolean} isAttempt
   */
  #lost(cause, isAttempt) {
    if (this.#ended.signal.aborted) return;
    if (cause instanceof CloseEvent && cause.code === EXPIRED && !this.#renewed) {
      // At once, but once: where each ticket is too old, that would be a tight loop.
      this.#renewed = true;
      this.#attempt();
      return;
    }
    const isFinal = evident(cause)?.final;
    if (isFinal) this.#end("stopped");
    else this.#wait(cause instanceof TicketError ? cause.retryAfter : 0);
    if (isFinal || (isAttempt && !this.#explained)) this.#explain(cause);
  }

  /** @param {number} least */
  #wait(least) {
    const { minDelay = 1_000, maxDelay = 30_000 } = this.#options;
    this.#failures += 1;
    const most = Math.min(maxDelay, minDelay * 2 ** this.#failures);
    const delay = Math.max(least, (most / 2) * (1 + Math.random()));
    this.#timer = setTimeout(() => navigator.onLine && this.#attempt(), delay);
    this.#become("waiting", delay);
  }

  #wake() {
    if (this.state !== "waiting") return;
    clearTimeout(this.#timer);
    this.#attempt();
  }

  /** @param {unknown} cause */
  async #explain(cause) {
    this.#explained = true;
    const detail = await explain(this.#url, { ...this.#options, cause });
    if (this.state === "closed") return;
    if (detail.final && this.state !== "open") this.#end("stopped");
    this.dispatchEvent(new CustomEvent("explanation", { detail }));
  }

  /** @param {"stopped" | "closed"} state */
  #end(state) {
    clearTimeout(this.#timer);
    this.#ended.abort();
    this.#socket = undefined;
    if (this.state !== state) this.#become(state);
  }

  /**
   * @param {State} state
   * @param {number} [delay]
   */
  #become(state, delay = 0) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, delay } }));
  }
}

/**
 * Say why a WebSocket does not open, as far as a page can find out.
 *
 * Asks the browser, the ticket endpoint and both preflights; no guarded consumer runs.
 * Rejects with a TypeError where `url` is none, never otherwise.
 *
 * @param {string | URL} url
 * @param {Options & {cause?: unknown}} [options]  A CloseEvent, or what was thrown.
 * @returns {Promise<Explanation>}
 */
export async function explain(url, options = {}) {
  const { cause, ticketUrl, timeout = TIMEOUT } = options;
  const target = absolute(url, "ws");
  const known = evident(cause);
  if (known?.reason === "origin-refused") {
    const { answer } = await overHttp(target, timeout).catch(() => known);
    return answer?.allowed === false ? because("origin-refused", { answer }) : known;
  }
  if (known) return known;
  if (!navigator.onLine) return because("offline");
  if (ticketUrl) {
    try {
      await protocols(options);
    } catch (error) {
      return evident(error) ?? unanswered(absolute(ticketUrl), error, timeout);
    }
  }
  // Over HTTP first: where that says it all, no handshake has to be denied once more.
  const page = await overHttp(target, timeout).catch((error) => ({ error }));
  const denied = "answer" in page && denial(page.answer, ticketUrl);
  if (denied) return denied;
  try {
    const answer = await overSocket(target, timeout);
    const detail = "A handshake opens now: it has passed, or the token or the application is why.";
    return denial(answer, ticketUrl) ?? because("unknown", { answer, detail });
  } catch (error) {
    const proof = evident(error);
    if (proof) return proof;
    if ("error" in page) return unanswered(target, isTimeout(error) ? error : page.error, timeout);
    return compared(page, isTimeout(error));
  }
}

/**
 * @param {Reason} reason
 * @param {{answer?: Answer, detail?: string, final?: boolean}} [more]
 * @returns {Explanation}
 */
function because(reason, { answer, detail, final = FINAL.has(reason) } = {}) {
  detail ??= answer?.detail ?? "";
  return { reason, sentence: SENTENCES[reason], detail, final, ...(answer && { answer }) };
}

/**
 * Read what proves a reason by itself: a close code, a status, an exception, a violation.
 *
 * @param {any} cause
 */
function evident(cause) {
  if (cause instanceof TicketError) {
    const { answer, message: detail, status } = cause;
    if (status === 401 || status === 403) return because("auth", { answer, detail });
    return because(status >= 500 ? "unreachable" : "unknown", { answer, detail });
  }
  if (cause instanceof CloseEvent) {
    const { code, reason: detail } = cause;
    if (code === ORIGIN) return because("origin-refused", { detail });
    if (code === EXPIRED) return because("auth", { detail, final: false });
    return [CREDENTIAL, REVOKED].includes(code) ? because("auth", { detail }) : undefined;
  }
  if (cause?.type === "securitypolicyviolation") {
    return because("csp", { detail: cause.originalPolicy });
  }
  switch (cause?.name) {
    case "NS_ERROR_CONTENT_BLOCKED": // Firefox throws it; its message is empty.
      return because("csp");
    case "SecurityError":
      return because("mixed-content", { detail: cause.message });
    case "SyntaxError": // The URL has a fragment, or a subprotocol is none.
      return because("unknown", { detail: cause.message, final: true });
  }
}

/**
 * Read a denial in the answer of a preflight, which brings no ticket.
 *
 * @param {Answer} answer
 * @param {unknown} hasTicket
 */
function denial(answer, hasTicket) {
  const { allowed, reason = "" } = answer;
  if (reason === "unguarded") return because("unknown", { answer });
  if (allowed !== false) return undefined;
  if (reason !== "token-required") return because("origin-refused", { answer });
  return hasTicket ? undefined : because("auth", { answer });
}

/**
 * Compare an answer over HTTP with a handshake that did not open.
 *
 * @param {{response: Response, answer: Answer}} page
 * @param {boolean} isHung
 */
function compared({ answer, response }, isHung) {
  if (isHung) return because("timeout", { answer });
  if (answer.allowed !== undefined) return because("not-upgraded", { answer });
  const { redirected, status, url } = response;
  const detail = redirected
    ? `It redirects to ${url}, and a WebSocket follows no redirect.`
    : `GET ${new URL(url).pathname} answers ${status}: no endpoint with a preflight is there.`;
  if (status === 401) return because("auth", { detail });
  return because([502, 503, 504].includes(status) ? "unreachable" : "unknown", { detail });
}

/**
 * Say why there is no answer that the page may read.
 *
 * @param {URL} url
 * @param {unknown} error
 * @param {number} timeout
 */
async function unanswered(url, error, timeout) {
  const missing = await missingPermission(url);
  if (missing) return because("local-network", { detail: missing });
  if (isTimeout(error)) return because("timeout", { detail: url.href });
  const page = absolute(url, "http");
  if (evident(error)) {
    const detail = `With ${page.origin} in connect-src, a preflight could tell more.`;
    return because("unknown", { detail });
  }
  const signal = AbortSignal.timeout(timeout);
  try {
    await fetch(page, { mode: "no-cors", cache: "no-store", signal });
  } catch {
    return because("unreachable", { detail: url.href });
  }
  // Not final: a proxy that answers for a server which restarts looks the same.
  const detail = `${url.host} answers, but does not let ${location.origin} read it.`;
  return because("origin-refused", { detail, final: false });
}

/**
 * Open one socket. Rejects with a CloseEvent, a violation, or what was thrown.
 *
 * @param {URL} url
 * @param {string[]} offered
 * @param {number} [timeout]
 * @param {AbortSignal} [signal]
 * @returns {Promise<WebSocket>}
 */
function open(url, offered, timeout = TIMEOUT, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const socket = new WebSocket(url, offered);
    const settled = new AbortController();
    const settle = () => {
      settled.abort();
      clearTimeout(timer);
      socket.onopen = socket.onclose = socket.onerror = null;
    };
    /** @param {unknown} cause */
    const fail = (cause) => {
      settle();
      socket.close();
      reject(cause);
    };
    // Browsers leave a socket without an answer CONNECTING for ever.
    let timer = setTimeout(fail, timeout, new DOMException("No answer.", "TimeoutError"));
    signal?.addEventListener("abort", () => fail(signal.reason), { signal: settled.signal });
    onViolation(url, settled.signal, fail);
    socket.onopen = () => {
      settle();
      resolve(socket);
    };
    socket.onclose = fail;
    socket.onerror = () => {
      // Where its policy refuses, Chromium fires error, and never close.
      clearTimeout(timer);
      timer = setTimeout(fail, GRACE, new CloseEvent("close", { code: 1006 }));
    };
  });
}

/**
 * Ask by a handshake, over the whole way; it ends before the application.
 *
 * @param {URL} url
 * @param {number} timeout
 * @returns {Promise<Answer>}
 */
async function overSocket(url, timeout) {
  const socket = await open(url, [PREFLIGHT], timeout);
  try {
    return JSON.parse(
      await new Promise((resolve, reject) => {
        setTimeout(reject, timeout, new DOMException("No answer.", "TimeoutError"));
        socket.onclose = reject;
        socket.onmessage = ({ data }) => resolve(data);
        // Firefox opens even where none was selected: that server knows no preflight.
        if (socket.protocol !== PREFLIGHT) reject(new CloseEvent("close", { code: 1006 }));
      }),
    );
  } finally {
    socket.close();
  }
}

/**
 * Ask by a plain GET of the same path.
 *
 * @param {URL} target
 * @param {number} timeout
 * @returns {Promise<{response: Response, answer: Answer}>}
 */
async function overHttp(target, timeout) {
  const url = absolute(target, "http");
  url.search = "";
  const response = await request(url, {
    headers: { Accept: "application/json" },
    cache: "no-store",
    signal: AbortSignal.timeout(timeout),
  });
  // After a redirect, the answer is about another address.
  return { response, answer: response.redirected ? {} : await readJson(response) };
}

/**
 * Fetch; rejects with the violation where the page's policy is the cause.
 *
 * @param {URL} url
 * @param {RequestInit} init
 * @returns {Promise<Response>}
 */
function request(url, init) {
  const settled = new AbortController();
  const violated = new Promise((_, reject) => onViolation(url, settled.signal, reject));
  const answered = fetch(url, init).catch(async (error) => {
    await new Promise((resolve) => setTimeout(resolve, GRACE));
    throw error;
  });
  return Promise.race([answered, violated]).finally(() => settled.abort());
}

/**
 * Call back when the page's policy refuses one address.
 *
 * @param {URL} url
 * @param {AbortSignal} signal
 * @param {(event: SecurityPolicyViolationEvent) => void} callback
 */
function onViolation(url, signal, callback) {
  /** @param {Event} event */
  const listener = (event) => {
    const violation = /** @type {SecurityPolicyViolationEvent} */ (event);
    const { blockedURI, disposition, effectiveDirective } = violation;
    const isIt = blockedURI === url.protocol.slice(0, -1) || url.href.startsWith(blockedURI);
    if (isIt && disposition === "enforce" && effectiveDirective === "connect-src") callback(violation);
  };
  globalThis.addEventListener("securitypolicyviolation", listener, { signal });
}

/**
 * Say which permission keeps the page from a local address; undefined where none does.
 *
 * Names are not resolved: a public name of a private address goes unrecognised.
 *
 * @param {URL} target
 */
async function missingPermission({ hostname }) {
  if (locality(hostname) <= locality(location.hostname)) return undefined;
  const name = locality(hostname) === 2 ? "loopback-network" : "local-network";
  const descriptor = /** @type {any} */ ({ name });
  const status = await navigator.permissions?.query(descriptor).catch(() => undefined);
  if (!status || status.state === "granted") return undefined;
  return `The permission "${name}" is: ${status.state}.`;
}

/**
 * How near a host is: 2 this machine, 1 this network, 0 elsewhere.
 *
 * @param {string} hostname
 */
function locality(hostname) {
  if (/^(.*\.)?localhost$|^127\.|^\[::1\]$/.test(hostname)) return 2;
  const local = /\.local$|^10\.|^192\.168\.|^169\.254\.|^172\.(1[6-9]|2\d|3[01])\.|^\[f(e80|[cd]..):/;
  return local.test(hostname) ? 1 : 0;
}

/** Find Django's CSRF token; the cookie first, since a login changes it. */
function pageCsrfToken() {
  const page = globalThis.document; // a worker has none
  const cookie = page?.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
  const meta = page?.querySelector('meta[name="csrf-token"]')?.getAttribute("content");
  const field = page?.querySelector('input[name="csrfmiddlewaretoken"]')?.getAttribute("value");
  return cookie ?? meta ?? field ?? "";
}

/**
 * @param {string | URL} url  Relative to the page, as everywhere.
 * @param {"http" | "ws"} [scheme]  Or its secure twin, where the URL has one.
 */
function absolute(url, scheme) {
  const result = new URL(url, globalThis.document?.baseURI ?? location.href);
  if (scheme) result.protocol = result.protocol.replace(/^(http|ws)/, scheme);
  return result;
}

/**
 * @param {Response} response
 * @returns {Promise<any>}
 */
async function readJson(response) {
  return (await response.json().catch(() => null)) ?? {};
}

/** @param {any} error */
function isTimeout(error) {
  return error?.name === "TimeoutError";
}

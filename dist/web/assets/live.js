// Keeps the page up to date: the server sends the parts that changed as HTML, and
// they take the place of the old ones. Without a stream the page is fetched again
// now and then.
"use strict";
(() => {
  const address = document.body.dataset.events;
  const status = document.getElementById("live");
  const waiting = new Map(); // parts that someone selects text in
  let source = null, poll = 0;

  const say = (word, text) => {
    if (status.className !== word) {
      status.className = word;
      status.textContent = text;
    }
  };

  const busy = (part) => {
    const s = getSelection();
    return s && !s.isCollapsed && (part.contains(s.anchorNode) || part.contains(s.focusNode));
  };

  // bottom reports whether a log shows its end, which it then goes on to show.
  const bottom = (log) => log.scrollTop + log.clientHeight >= log.scrollHeight - 8;

  const place = (id, html) => {
    const part = document.querySelector(`[data-part="${id}"]`);
    if (!part) return;
    if (busy(part)) {
      waiting.set(id, html);
      return;
    }
    waiting.delete(id);
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const logs = [...part.querySelectorAll("pre")].map((l) => [l.scrollTop, l.scrollLeft, bottom(l)]);
    part.innerHTML = html;
    part.querySelectorAll("pre").forEach((log, i) => {
      if (!logs[i]) return;
      log.scrollTop = logs[i][2] ? log.scrollHeight : logs[i][0];
      log.scrollLeft = logs[i][1];
    });
    if (!focused) return;
    const href = focused.getAttribute("href");
    const again = [...part.querySelectorAll("a, [tabindex]")].find((e) =>
      href ? e.getAttribute("href") === href : e.className === focused.className);
    if (again) again.focus({ preventScroll: true });
  };

  document.addEventListener("selectionchange", () => {
    for (const [id, html] of [...waiting]) place(id, html);
  });

  const fetchPage = async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of page.querySelectorAll("[data-part]")) place(part.dataset.part, part.innerHTML);
      say("slow", "every few seconds");
    } catch {
      say("lost", "not connected, trying again");
    }
  };

  const stop = () => {
    if (source) source.close();
    clearTimeout(poll);
    source = null;
    poll = 0;
  };

  const start = () => {
    stop();
    source = new EventSource(address);
    source.onopen = () => say("on", "live");
    source.onmessage = (e) => {
      for (const part of JSON.parse(e.data)) place(part.id, part.html);
    };
    source.onerror = () => {
      say("lost", "not connected, trying again");
      if (source.readyState !== EventSource.CLOSED) return; // it tries again
      stop();
      fetchPage();
      poll = setTimeout(start, 5000);
    };
  };

  for (const log of document.querySelectorAll("pre.log")) log.scrollTop = log.scrollHeight;
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (e) => { if (e.persisted) start(); });
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  if (!document.hidden) start();
})();

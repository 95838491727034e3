// Keeps a page live: one stream of server-sent events, closed while nobody looks or while it is paused.

import { localize } from "./clock.js";
import { offerCopies } from "./copy.js";
import { patch } from "./patch.js";

const TRY_AGAIN_MS = 5000; // where the server refuses a stream; a lost one comes back by itself

export function stayLive(region, status) {
  const state = status.querySelector(".state");
  const button = status.querySelector("button");
  const address = status.dataset.live;
  let source = null;
  let paused = false;
  let ended = false;
  let timer = 0;

  const say = (name) => {
    const text = status.dataset[name];
    if (state.textContent !== text) state.textContent = text;
    status.dataset.state = name;
  };

  const show = (html) => {
    const fresh = document.createElement("template");
    fresh.innerHTML = html; // the monitor's own, with every value escaped
    localize(fresh.content);
    offerCopies(fresh.content);
    patch(region, fresh.content);
  };

  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };

  const open = () => {
    close();
    if (paused || ended || document.hidden) return;
    if (!status.dataset.state || status.dataset.state === "paused") say("connecting");
    source = new EventSource(address);
    source.addEventListener("page", ({ data }) => {
      say("liveNow");
      show(data);
    });
    source.addEventListener("end", ({ data }) => {
      ended = true;
      close();
      say("ended");
      button.hidden = true;
      show(data);
    });
    source.addEventListener("trouble", () => say("trouble"));
    source.onopen = () => say("liveNow");
    source.onerror = () => {
      say("lost");
      if (source?.readyState === EventSource.CLOSED) timer = setTimeout(open, TRY_AGAIN_MS);
    };
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    if (paused) {
      close();
      say("paused");
    } else {
      open();
    }
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", ({ persisted }) => persisted && open());
  open();
}

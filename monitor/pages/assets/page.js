// What every page does once it is there: local times, copying, and staying live.

import { stayLive } from "./live.js";
import { localize } from "./clock.js";
import { offerCopies } from "./copy.js";

const live = document.getElementById("live");
localize(document);
offerCopies(document);
const state = document.querySelector("[data-live]");
if (live && state) stayLive(live, state);

// On a narrow screen the navigation is one line that scrolls: where one is, is in sight.
const here = document.querySelector(".side [aria-current]");
const side = here?.closest(".side");
if (side && side.scrollWidth > side.clientWidth) {
  side.scrollLeft = here.offsetLeft - (side.clientWidth - here.offsetWidth) / 2;
}

// Addresses of before there was a page for each operation.
if (location.pathname === "/" && /^#[0-9a-f-]{36}$/i.test(location.hash)) {
  location.replace(`/operations/${location.hash.slice(1)}`);
}

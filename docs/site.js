// What the theme lacks for people who use a keyboard or a screen reader.

document.querySelector(".md-search")?.setAttribute("aria-label", "Search");

// The theme wraps tables later than this script runs. Those that are too wide scroll, which the keyboard can do too.
function reachTables() {
  for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
    wrap.tabIndex = 0;
    wrap.setAttribute("role", "region");
    wrap.setAttribute("aria-label", "Table");
  }
}
reachTables();
new MutationObserver(reachTables).observe(document.querySelector(".md-content"), { childList: true, subtree: true });

// Where the dashboard serves this website, it is a click away.
if (location.pathname.startsWith("/docs/")) {
  const link = document.createElement("a");
  link.href = "/";
  link.textContent = "Dashboard";
  link.className = "md-header__dashboard";
  document.querySelector(".md-header__inner")?.append(link);
}

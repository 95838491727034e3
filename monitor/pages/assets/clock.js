// Times in the browser's own time zone. The server writes UTC, which stays in the element's title.

const FULL = { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" };
const MINUTE = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DAY = { day: "2-digit", month: "short" };

const language = document.documentElement.lang;
const full = new Intl.DateTimeFormat(language, FULL);
const minute = new Intl.DateTimeFormat(language, MINUTE);
const day = new Intl.DateTimeFormat(language, DAY);

export function localize(root) {
  const today = day.format(new Date());
  for (const element of root.querySelectorAll("time[datetime]")) {
    const date = new Date(element.getAttribute("datetime"));
    if (Number.isNaN(date.getTime())) continue;
    const time = (element.dataset.clock === "minute" ? minute : full).format(date);
    const on = day.format(date);
    element.textContent = on === today ? time : `${on}, ${time}`;
    element.title = element.getAttribute("datetime");
  }
}

// The form of a search: times in the browser's own time zone, and an address that says only what was filled in.
// Without it, times are UTC, as the label says.

const MINUTE_MS = 60_000;

for (const input of document.querySelectorAll("form.search input[type=datetime-local]")) {
  document.querySelector(`label[for="${input.id}"] [data-zone]`).hidden = true;
  if (!input.defaultValue) continue;
  const when = new Date(`${input.defaultValue}Z`);
  input.value = new Date(when - when.getTimezoneOffset() * MINUTE_MS).toISOString().slice(0, 19);
}

for (const form of document.querySelectorAll("form.search")) {
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) {
      if (!value.trim()) formData.delete(name);
      else if (form.elements[name].type === "datetime-local") formData.set(name, new Date(value).toISOString());
    }
  });
}

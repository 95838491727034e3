// Buttons that copy the text before them.

const SHOWN_MS = 1500;

export function offerCopies(root) {
  for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.("button[data-copy]");
  if (!button) return;
  const label = button.textContent;
  await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
  button.textContent = button.dataset.copied;
  setTimeout(() => {
    button.textContent = label;
  }, SHOWN_MS);
});

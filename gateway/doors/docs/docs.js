// Swagger UI, and what it lacks for people who use a keyboard or a screen reader.

// A path is the name of the button that it stands in. As a link of its own it would be a control within a control.
const PlainPaths = ({ React }) => ({
  wrapComponents: { DeepLink: () => ({ text }) => React.createElement("span", null, text) },
});

const NAMES = [
  ["textarea.body-param__text", "Request body"],
  [".copy-to-clipboard button", "Copy"],
  [".download-contents", "Download"],
  [".body-param-content-type select, .content-type", "Media type"],
  [".operation-filter-input", "Filter by service"],
  ["input[disabled]:not([placeholder])", "Value"],
];

function nameControls(root) {
  for (const [selector, name] of NAMES) {
    for (const control of root.querySelectorAll(selector)) {
      if (!control.getAttribute("aria-label")) control.setAttribute("aria-label", name);
    }
  }
  // What scrolls is reached by the keyboard too.
  for (const block of root.querySelectorAll("pre.microlight, .highlight-code pre, pre.example")) block.tabIndex = 0;
}

const root = document.getElementById("swagger-ui");
new MutationObserver(() => nameControls(root)).observe(root, { childList: true, subtree: true });

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  filter: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  plugins: [PlainPaths],
});

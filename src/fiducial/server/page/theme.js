/** Light, dark, or as the system has it. */

import { byId } from "./dom.js";

const THEMES = { system: "as the system", light: "light", dark: "dark" };
const KEPT_AS = "fiducial-theme";

export function wireTheme() {
  const names = Object.keys(THEMES);
  const show = (name) => {
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    byId("theme-name").textContent = `Theme: ${THEMES[name]}`;
    byId("theme").title = `Theme: ${THEMES[name]}`;
  };
  const kept = localStorage.getItem(KEPT_AS);
  let now = names.includes(kept) ? kept : "system";
  show(now);
  byId("theme").addEventListener("click", () => {
    now = names[(names.indexOf(now) + 1) % names.length];
    localStorage.setItem(KEPT_AS, now);
    show(now);
  });
}

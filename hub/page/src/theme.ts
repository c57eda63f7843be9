// Light or dark: as the system says, unless somebody has chosen.

import { element, setText } from "./dom.ts";

const KEY = "theme";
const CHOICES = ["auto", "light", "dark"] as const;
type Choice = (typeof CHOICES)[number];

const DARK = matchMedia("(prefers-color-scheme: dark)");
const was = stored();
let choice: Choice = CHOICES.find((known) => known === was) ?? "auto";
const listeners = new Set<() => void>();

/** Calls when colours have changed, until what it returns is called. */
export function onTheme(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Before anything is painted. */
export function startTheme(): void {
  apply();
  DARK.addEventListener("change", apply);
}

/** The button that goes from one choice to the next. */
export function themeButton(): HTMLButtonElement {
  const button = element("button", { type: "button", class: "plain", title: "Light or dark (t)", onclick: next });
  const word = element("span");
  button.append(element("span", { class: "wide-only" }, "Theme: "), word);
  const show = () => setText(word, choice);
  onTheme(show);
  show();
  return button;
}

/** The next choice. */
export function next(): void {
  const now = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length]!;
  try {
    localStorage.setItem(KEY, now);
  } catch {
    // A browser that keeps nothing shows it all the same, until the page is closed.
  }
  choice = now;
  apply();
}

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Says it to the style sheet, which knows two themes, and to whoever draws. */
function apply(): void {
  const isDark = choice === "dark" || (choice === "auto" && DARK.matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  for (const listener of listeners) listener();
}

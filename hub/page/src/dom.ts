// Elements of the page. What others say (names, labels, methods, errors) becomes text here and never markup: nothing in
// the page parses HTML, and no attribute is made of it but `title`, `href` to a hash, and what readers are told.

type Value = string | number | boolean | undefined | ((event: any) => void);
export type Attributes = Record<string, Value>;
export type Child = Node | string | undefined;

/** An element with attributes, `on…` being listeners, and children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

/** The same of SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill<E extends Element>(made: E, attributes: Attributes, children: Child[]): E {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      made.addEventListener(key.slice(2), value);
    } else {
      setAttribute(made, key, value);
    }
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** Sets, or takes away where it is `undefined` or `false`; what is so already costs nothing. */
export function setAttribute(on: Element, key: string, value: string | number | boolean | undefined): void {
  if (value === undefined || value === false) {
    on.removeAttribute(key);
    return;
  }
  const text = value === true ? "" : String(value);
  if (on.getAttribute(key) !== text) {
    on.setAttribute(key, text);
  }
}

/** Makes this the whole text of an element; what is so already costs nothing. */
export function setText(of: Element, text: string): void {
  if (of.textContent !== text) {
    of.textContent = text;
  }
}

/** What shows one item, and can show it anew. */
export interface Part<T> {
  root: HTMLElement;
  update(item: T): void;
}

/** Shows items as children of an element. An item that stays keeps its element, so that focus and selection stay, too. */
export class Parts<T> {
  private made = new Map<string, Part<T>>();

  constructor(
    private parent: HTMLElement,
    private key: (item: T) => string,
    private make: (item: T) => Part<T>,
  ) {}

  show(items: readonly T[]): void {
    const before = this.made;
    this.made = new Map();
    let next = this.parent.firstChild;
    for (const item of items) {
      const key = this.key(item);
      // Two of one key would be one element: the first is shown.
      if (this.made.has(key)) continue;
      const part = before.get(key) ?? this.make(item);
      before.delete(key);
      this.made.set(key, part);
      part.update(item);
      if (part.root === next) {
        next = next.nextSibling;
      } else {
        this.parent.insertBefore(part.root, next);
      }
    }
    for (const part of before.values()) {
      part.root.remove();
    }
  }
}

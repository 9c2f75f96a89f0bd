// The one error of this page that a visitor can do something about. Its text stands in texts.js under `problems`, by its
// code: what happened, where, and what to do now.
export class PageProblem extends Error {
  // values: what the text names, such as {file: "child_1.csv", line: 3}.
  constructor(code, values = {}) {
    super(`${code} ${JSON.stringify(values)}`);
    this.name = "PageProblem";
    this.code = code;
    this.values = values;
  }
}

// A value of a file as it may stand in a message: printable, and short enough for a line.
export function shorten(value, most = 60) {
  const text = [...String(value)].map((letter) => (/[\p{C}\p{Zl}\p{Zp}]/u.test(letter) ? "?" : letter)).join("");
  return text.length <= most ? text : `${text.slice(0, most - 3)}...`;
}

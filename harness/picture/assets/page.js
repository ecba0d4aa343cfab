// Builds the checklist from the report's data. What the program said is always set as text.
"use strict";

function build(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Text with `code` in it, as in the titles of checks.
function spoken(text) {
  return text.split("`").map((part, index) => (index % 2 ? build("code", "", part) : part));
}

const WORDS = { pass: "pass", fail: "FAIL", skipped: "skipped", inconclusive: "inconclusive" };
const LABELS = {
  expected: "expected",
  seen: "seen",
  wrote: "wrote",
  likely: "likely",
  hint: "hint",
  done: "done",
  notes: "also seen",
  rerun: "again",
  trace: "trace",
};
const CODE = ["done", "wrote", "rerun", "trace"];
const drawings = new Map(); // each container that is not drawn yet → the function that draws it

function facts(check) {
  const list = build("dl");
  for (const [name, label] of Object.entries(LABELS)) {
    const value = Array.isArray(check[name]) ? check[name].join("\n") : check[name];
    const needless = check.result === "pass" && ["likely", "hint"].includes(name);
    if (!value || needless) continue;
    const why = check.result !== "fail" && name === "seen";
    list.append(build("dt", "", why ? "why" : label));
    list.append(build("dd", CODE.includes(name) ? "code" : "", value));
  }
  return list;
}

function picture(check) {
  const data = check.timeline;
  if (!data) return build("p", "left-out", "No picture: the check was not tried.");
  if (data.fault) return build("p", "left-out", `No picture: ${data.fault}`);
  const container = build("div", "timeline");
  container.style.minHeight = "120px";
  drawings.set(container, () => {
    container.style.minHeight = "";
    drawTimeline(container, data, { result: check.result, label: check.title });
  });
  return container;
}

function draw(container) {
  const drawing = drawings.get(container);
  drawings.delete(container);
  if (drawing) drawing();
}

const nearby = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      nearby.unobserve(entry.target);
      draw(entry.target);
    }
  }
}, { rootMargin: "600px" });

function section(check) {
  const details = build("details", check.result);
  const summary = build("summary");
  summary.append(build("span", "result", WORDS[check.result]), ...spoken(check.title), " ");
  summary.append(build("span", "seconds", `${check.seconds.toFixed(1)} s`));
  details.append(summary);
  details.dataset.check = check.id;
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    details.append(facts(check), picture(check));
    if (drawings.has(details.lastChild)) nearby.observe(details.lastChild);
  });
  details.open = ["fail", "inconclusive"].includes(check.result);
  return details;
}

function show(report) {
  const title = `Exercise ${report.exercise}: ${report.passed} of ${report.total} passed`;
  document.title = title;
  document.getElementById("title").textContent = title;
  const part = report.part ? "a part of the checklist, " : "";
  document.getElementById("summary").textContent =
    `${part}${report.program}, ${report.seconds.toFixed(1)} s`;
  const items = document.getElementById("items");
  for (const item of [...report.items, report.common]) {
    if (!item.checks.length) continue;
    const number = item.item ? `${item.item}. ` : "";
    const heading = build("h2", item.result, `${number}${item.title} `);
    heading.append(build("span", "result", WORDS[item.result]));
    items.append(heading, ...item.checks.map(section));
  }
}

document.getElementById("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});
addEventListener("beforeprint", () => [...drawings.keys()].forEach(draw));
show(JSON.parse(document.getElementById("report").textContent));

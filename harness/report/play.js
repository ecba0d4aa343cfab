// The page of a program that is played with: asks for its state all the time, draws the last minute, and sends what the buttons say.
"use strict";

const PAUSE = 400; // milliseconds between two pictures
const LOADS = [["gentle", "gentle"], ["heavy", "heavy"], ["slow", "slow"], ["stop", "stop"]];
const TO_MASTER = [["TERM", "SIGTERM"], ["USR2", "SIGUSR2"], ["INT", "SIGINT"], ["KILL", "SIGKILL"]];
const TO_WORKER = [["STOP", "SIGSTOP"], ["CONT", "SIGCONT"], ["TERM", "SIGTERM"], ["KILL", "SIGKILL"]];
const at = (id) => document.getElementById(id);
let picture = null;
let shownWorkers = "";

async function press(what, order) {
  const answer = await fetch(what, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order) });
  at("refused").textContent = answer.ok ? "" : (await answer.json()).error;
}

function button(text, label, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", action);
  return made;
}

function row(parent, buttons, to) {
  for (const [text, name] of buttons) parent.append(button(text, `${name} to ${to ? `worker ${to}` : "the master"}`, () => press("signal", { to, name })));
}

function showWorkers(workers) {
  const told = JSON.stringify(workers);
  if (told === shownWorkers) return; // a row that is made anew would lose the keyboard's focus
  shownWorkers = told;
  const focused = document.activeElement && document.activeElement.getAttribute("aria-label");
  at("workers").replaceChildren(...workers.map(({ slot, pid, stopped }) => {
    const line = document.createElement("p");
    line.className = "buttons";
    const name = document.createElement("b");
    name.textContent = `worker ${slot}`;
    line.append(name);
    row(line, TO_WORKER, slot);
    line.append(` pid ${pid}${stopped ? ", stopped" : ""}`);
    return line;
  }));
  const again = focused && document.querySelector(`[aria-label="${focused}"]`);
  if (again) again.focus();
}

function show(state) {
  const ended = state.exitCode === null ? "" : state.exitCode < 0 ? `ended by signal ${-state.exitCode}` : `ended with exit code ${state.exitCode}`;
  at("summary").textContent = [ended, state.excess].filter(Boolean).join(": ") || `${state.url || "starting …"}, master ${state.pid}`;
  at("start").disabled = state.running;
  for (const [, kind] of LOADS) at(`load-${kind}`).setAttribute("aria-pressed", String(state.load === kind));
  showWorkers(state.workers);
  if (picture) picture.update(state.picture);
  else picture = drawTimeline(at("picture"), state.picture, { label: "the last minute" });
}

async function look() {
  try {
    const answer = await fetch("state");
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
  } catch {
    at("summary").textContent = "Nobody answers any more: the command in the terminal has ended.";
    for (const one of document.querySelectorAll("button")) one.disabled = true;
    return;
  }
  setTimeout(look, document.hidden ? 5 * PAUSE : PAUSE);
}

for (const [text, kind] of LOADS) {
  const made = button(text, `load: ${kind}`, () => press("load", { kind }));
  made.id = `load-${kind}`;
  at("load").append(made);
}
row(at("master"), TO_MASTER, 0);
const start = button("start again", "start the program again", () => press("start", {}));
start.id = "start";
start.disabled = true;
at("master").append(start);
look();

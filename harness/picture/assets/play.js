// The page of a program that is played with. It asks for the program's state all the time,
// draws the last minute, and sends what the buttons say.
"use strict";

const PAUSE = 400; // milliseconds between two pictures
const LOADS = {
  gentle: "two clients that ask now and then",
  heavy: "sixteen clients that ask all the time",
  slow: "four clients that ask for what takes long, and two others",
  stop: "nobody asks any more",
};
const PICTURE = { label: "the last minute", untilNow: true };
const at = (id) => document.getElementById(id);
let picture = null;
let shownButtons = "";

async function press(what, order) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(what, { method: "POST", headers, body: JSON.stringify(order) });
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

// A line of buttons that send signals to a worker's slot, or to the master (0).
function line(title, signals, to) {
  const made = document.createElement("p");
  made.className = "buttons";
  const name = document.createElement("b");
  name.textContent = title;
  made.append(name, ...signals.map((signal) => button(
    signal.replace("SIG", ""),
    `${signal} to ${title}`,
    () => press("signal", { to, name: signal }),
  )));
  return made;
}

function showButtons(state) {
  const told = JSON.stringify([state.running, state.workers]);
  if (told === shownButtons) return; // a row made anew would lose the keyboard's focus
  shownButtons = told;
  const focused = document.activeElement && document.activeElement.getAttribute("aria-label");
  const master = line("master", state.toMaster, 0);
  for (const one of master.querySelectorAll("button")) one.disabled = !state.running;
  const start = button("start again", "start the program again", () => press("start", {}));
  start.id = "start";
  start.disabled = state.running;
  master.append(start);
  at("signals").replaceChildren(master, ...state.workers.map(({ slot, pid, stopped }) => {
    const made = line(`worker ${slot}`, state.toWorker, slot);
    made.append(` pid ${pid}${stopped ? ", stopped" : ""}`);
    return made;
  }));
  const again = focused && document.querySelector(`[aria-label="${focused}"]`);
  if (again) again.focus();
}

function endOf({ exitCode }) {
  if (exitCode === null) return "";
  return exitCode < 0 ? `ended by signal ${-exitCode}` : `ended with exit code ${exitCode}`;
}

function show(state) {
  at("summary").textContent = [endOf(state), state.excess].filter(Boolean).join(": ")
    || `${state.url || "starting …"}, master ${state.pid}`;
  for (const kind of Object.keys(LOADS)) {
    at(`load-${kind}`).setAttribute("aria-pressed", String(state.load === kind));
  }
  showButtons(state);
  if (picture) picture.update(state.picture);
  else picture = drawTimeline(at("picture"), state.picture, PICTURE);
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

for (const [kind, meaning] of Object.entries(LOADS)) {
  const made = button(kind, `load: ${kind}`, () => press("load", { kind }));
  made.id = `load-${kind}`;
  made.title = meaning;
  at("load").append(made);
}
look();

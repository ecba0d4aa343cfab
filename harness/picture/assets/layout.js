// What stands where in a timeline, and what is said about it. Nothing is drawn here.
// The data that these functions take are described in timeline.js.
"use strict";

const LETTER = 6.2; // pixels: about the width of a letter
const LINE = 14; // pixels: the height of a line of labels
const MOST_LINES = 5; // of a cluster's signals
const SIZES = { master: 20, worker: 20, process: 20, client: 16 }; // pixels: the heights of lanes
const STATES = {
  up: "up",
  starting: "starting",
  ready: "ready",
  draining: "draining",
  stopped: "stopped (SIGSTOP)",
};
const OUTCOMES = {
  ok: "answered 2xx",
  error: "answered 4xx or 5xx",
  broken: "no whole answer",
  waiting: "no answer yet",
};

function seconds(ms) {
  return `${(ms / 1000).toFixed(3)} s`;
}

function duration(ms) {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

function laneLabel(lane) {
  return lane.pid ? `${lane.name}  ${lane.pid}` : lane.name;
}

function versionsOf(data) {
  return [...new Set(data.spans.map((span) => span.version).filter(Boolean))].sort();
}

// ----- what stands where

// Puts every lane at its height. The lanes of a cluster are a group: above them stand the
// cluster's name, if there are several clusters, and the labels of its signals.
function layOut(data, width) {
  const many = new Set(data.lanes.map((lane) => lane.cluster)).size > 1;
  const longest = d3.max(data.lanes, (lane) => laneLabel(lane).length) || 0;
  const left = Math.min(longest * LETTER + 14, width * 0.34);
  const layout = { left, right: 12, width, groups: [], tops: [], heights: [] };
  const range = [left, width - layout.right];
  const scale = d3.scaleLinear().domain([0, Math.max(data.end, 1)]).range(range);
  let y = 22 + LINE * (data.bound ? 2 : 1);
  data.lanes.forEach((lane, index) => {
    const before = data.lanes[index - 1];
    if (!before || before.cluster !== lane.cluster) {
      const marks = data.marks.filter((mark) => mark.cluster === lane.cluster);
      const labels = labelsOf(marks, scale, layout, MOST_LINES);
      const lines = Math.max(many ? 1 : 0, ...labels.map((label) => label.line + 1));
      const name = many ? `cluster ${lane.cluster}` : "";
      layout.groups.push({ cluster: lane.cluster, name, y, lines });
      y += LINE * lines + 4;
    } else if (lane.kind === "client" && before.kind !== "client") {
      y += 8;
    }
    layout.tops.push(y);
    layout.heights.push(SIZES[lane.kind]);
    y += SIZES[lane.kind] + 1;
    layout.groups[layout.groups.length - 1].bottom = y;
  });
  layout.bottom = y;
  layout.height = y + 6;
  return { ...layout, scale };
}

// The labels of signals, each in the first line that has room for it. A signal for which no
// line has room gets no label.
function labelsOf(marks, x, layout, lines) {
  const right = layout.width - layout.right;
  const ends = new Array(lines).fill(-Infinity);
  return marks.flatMap((mark) => {
    const width = mark.what.length * LETTER + 8;
    const left = x(mark.t) + 4 + width > right ? x(mark.t) - width : x(mark.t) + 4;
    const line = ends.findIndex((end) => end <= left);
    if (line < 0) return [];
    ends[line] = left + width;
    return [{ text: mark.what, left, line }];
  });
}

// ----- what is said about a thing

// The lines of the box that tells about a thing; empty lines are left out by the caller.
function tell(data, kind, thing) {
  const lane = data.lanes[thing.lane];
  const when = (start, end) => `${seconds(start)} to ${seconds(end)} (${duration(end - start)})`;
  const from = (index) => laneLabel(data.lanes[index]).replace("  ", ", pid ");
  switch (kind) {
    case "bar":
      return [
        thing.what,
        thing.by ? `${thing.told} from ${thing.by}` : thing.told,
        `${lane.name}, ${when(thing.start, thing.end)}`,
        thing.blamed ? "The verdict speaks of this request." : "",
      ];
    case "span":
      return [
        `${from(thing.lane)}: ${thing.state}${thing.version ? `, version ${thing.version}` : ""}`,
        when(thing.start, thing.end),
        thing.last ? `ended: ${lane.fate || "how is not known"}` : "",
      ];
    case "arrow":
      return [
        `message ${thing.what}`,
        `${from(thing.source)} → ${from(thing.target)}`,
        thing.received === null
          ? `sent at ${seconds(thing.sent)}, not taken`
          : when(thing.sent, thing.received),
        thing.id ? `id ${thing.id}` : "",
      ];
    case "note":
      return [thing.what, `${from(thing.lane)}, ${seconds(thing.t)}`];
    default:
      return [
        `signal ${thing.what}`,
        thing.lane === null ? "" : from(thing.lane),
        seconds(thing.t),
      ];
  }
}

// The legend of what occurs in the picture: [class, meaning, path]. The path is drawn in a box
// of 22 by 12 pixels; an entry without a path is a filled box.
function legendOf(data, versions) {
  const states = new Set(data.spans.map((span) => span.state));
  if (versions.length) states.delete("ready"); // each version has an entry instead
  const outcomes = new Set(data.bars.map((bar) => bar.outcome));
  return [
    ...Object.entries(STATES)
      .filter(([state]) => states.has(state))
      .map(([state, meaning]) => [`state-${state}`, meaning]),
    ...versions.map((version, index) => [
      `state-ready version-${index % 3}`, `ready, version ${version}`,
    ]),
    ...Object.entries(OUTCOMES)
      .filter(([outcome]) => outcomes.has(outcome))
      .map(([outcome, meaning]) => [`outcome-${outcome}`, meaning]),
    ...marksOf(data),
  ];
}

function marksOf({ bars, arrows, spans, notes, bound }) {
  const late = bound && bound.end > bound.due;
  const arrow = "M2 6L20 6m-5 -3L20 6l-5 3";
  const taken = arrows.some((one) => one.received !== null);
  const lost = arrows.some((one) => one.received === null);
  const blamed = bars.some((bar) => bar.blamed);
  return [
    [blamed, "blame", "the request that the verdict speaks of", "M11 11l5 -9h-10z"],
    [taken, "arrow", "message", arrow],
    [lost, "arrow lost", "message that nobody took", arrow],
    [spans.some((span) => span.last), "death", "a process ended", "M7 2l8 8m0 -8l-8 8"],
    [notes.length > 0, "note", "output, connection or journal", "M11 3v6"],
    [bound, "allowed", late ? "time allowed" : "time that passed"],
    [bound, "broken", late ? "time after the bound" : "too early by this"],
  ].filter(([occurs]) => occurs).map(([, ...entry]) => entry);
}

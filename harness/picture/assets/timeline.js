// drawTimeline(element, data, options): draws what a cluster's processes and its clients did, on one axis of time.
//
// data, with all moments in milliseconds; every list may also be a table {keys: [names], rows: [[values]]}:
//   end           of the axis, which begins at 0
//   lanes         [{cluster, kind: "master" | "worker" | "process" | "client", name, pid, slot, fate}], from top to bottom;
//                 the lanes of one cluster (1, 2, …) are neighbours; pid, slot and fate (how it ended) may be null or ""
//   spans         [{lane, start, end, state, version, last}]: a process was up | starting | ready | draining | stopped;
//                 last: it ended then; lane is an index of lanes here and below
//   bars          [{lane, start, end, outcome, what, told, by, blamed}]: a request; outcome is ok | error (an answer of 4xx or 5xx) |
//                 broken (no whole answer) | waiting (none when it was last looked for); told: the status, or how it broke;
//                 by: who answered; blamed: the verdict speaks of it
//   arrows        [{source, target, sent, received, what, id}]: a message between two lanes; received null: nobody took it;
//                 messages with the same id ("": none) belong together
//   notes         [{lane, t, what}]: something said in a lane
//   marks         [{cluster, t, what, lane}]: a signal; lane (may be null) is who got it
//   judged, seen  when a verdict was reached (or null), and what it says
//   bound         null or {start, due, end, what}: something was due at `due`, counted from `start`, and came, or was given up, at `end`
//   leftOut       {what: how many}: what is not in the lists
// options: result ("pass", "fail", …; the verdict), label (for screen readers), untilNow (the end of the axis is now)
//
// Returns {update(data)}: draws other data in the same place, with the same zoom; for a picture that is fed as things happen.
// Needs D3 5, and style.css for the colours.
"use strict";

const LISTS = ["lanes", "spans", "bars", "arrows", "notes", "marks"];
const STATES = { up: "up", starting: "starting", ready: "ready", draining: "draining", stopped: "stopped (SIGSTOP)" };
const OUTCOMES = { ok: "answered 2xx", error: "answered 4xx or 5xx", broken: "no whole answer", waiting: "no answer yet" };
const LINE = 14; // pixels of a line of labels
const MOST_LINES = 5; // of a cluster's signals
const SIZES = { master: 20, worker: 20, process: 20, client: 16 };
const LETTER = 6.2; // about as wide as a letter
let drawn = 0;

function rowsOf(list) {
  if (!list || Array.isArray(list)) return list || [];
  return list.rows.map((row) => Object.fromEntries(list.keys.map((key, index) => [key, row[index]])));
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(3)} s`;
}

function duration(ms) {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

// ----- what stands where

// Puts every lane at its height. Each cluster has its name (if there are several) and its signals' labels above its lanes.
function layOut(data, width) {
  const many = new Set(data.lanes.map((lane) => lane.cluster)).size > 1;
  const longest = d3.max(data.lanes, (lane) => laneLabel(lane).length) || 0;
  const left = Math.min(longest * LETTER + 14, width * 0.34);
  const layout = { left, right: 12, width, groups: [], tops: [], heights: [] };
  const scale = d3.scaleLinear().domain([0, Math.max(data.end, 1)]).range([left, width - layout.right]);
  let y = 22 + LINE * (data.bound ? 2 : 1);
  data.lanes.forEach((lane, index) => {
    const before = data.lanes[index - 1];
    if (!before || before.cluster !== lane.cluster) {
      const labels = labelsOf(data.marks.filter((mark) => mark.cluster === lane.cluster), scale, layout, MOST_LINES);
      const lines = Math.max(many ? 1 : 0, ...labels.map((label) => label.line + 1));
      layout.groups.push({ cluster: lane.cluster, name: many ? `cluster ${lane.cluster}` : "", y, lines });
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

// The labels of signals, each in the first line where there is room; if there is none in so many lines it has no label.
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

function laneLabel(lane) {
  return lane.pid ? `${lane.name}  ${lane.pid}` : lane.name;
}

function versionsOf(data) {
  return [...new Set(data.spans.map((span) => span.version).filter(Boolean))].sort();
}

function spanClass(span, versions) {
  const version = span.state === "ready" ? ` version-${Math.max(0, versions.indexOf(span.version)) % 3}` : "";
  return `span state-${span.state}${version}`;
}

// ----- what is said about a thing

function tell(data, kind, thing) {
  const lane = data.lanes[thing.lane];
  const when = (start, end) => `${seconds(start)} to ${seconds(end)} (${duration(end - start)})`;
  const from = (index) => laneLabel(data.lanes[index]).replace("  ", ", pid ");
  switch (kind) {
    case "bar":
      return [thing.what, thing.by ? `${thing.told} from ${thing.by}` : thing.told, `${lane.name}, ${when(thing.start, thing.end)}`,
        thing.blamed ? "The verdict speaks of this request." : ""];
    case "span":
      return [`${from(thing.lane)}: ${thing.state}${thing.version ? `, version ${thing.version}` : ""}`, when(thing.start, thing.end),
        thing.last ? `ended: ${lane.fate || "how is not known"}` : ""];
    case "arrow":
      return [`message ${thing.what}`, `${from(thing.source)} → ${from(thing.target)}`,
        thing.received === null ? `sent at ${seconds(thing.sent)}, not taken` : when(thing.sent, thing.received), thing.id ? `id ${thing.id}` : ""];
    case "note":
      return [thing.what, `${from(thing.lane)}, ${seconds(thing.t)}`];
    default:
      return [`signal ${thing.what}`, thing.lane === null ? "" : from(thing.lane), seconds(thing.t)];
  }
}

// [class, what it means, path in a box of 22 to 12 (none: a filled box)] of what occurs in the picture.
function legendOf(data, versions) {
  const states = [...new Set(data.spans.map((span) => span.state))].filter((state) => state !== "ready" || !versions.length);
  const outcomes = [...new Set(data.bars.map((bar) => bar.outcome))];
  return [
    ...Object.keys(STATES).filter((state) => states.includes(state)).map((state) => [`state-${state}`, STATES[state]]),
    ...versions.map((version, index) => [`state-ready version-${index % 3}`, `ready, version ${version}`]),
    ...Object.keys(OUTCOMES).filter((outcome) => outcomes.includes(outcome)).map((outcome) => [`outcome-${outcome}`, OUTCOMES[outcome]]),
    ...marksOf(data),
  ];
}

function marksOf({ bars, arrows, spans, notes, bound }) {
  const late = bound && bound.end > bound.due;
  return [
    [bars.some((bar) => bar.blamed), "blame", "the request that the verdict speaks of", "M11 11l5 -9h-10z"],
    [arrows.some((arrow) => arrow.received !== null), "arrow", "message", "M2 6L20 6m-5 -3L20 6l-5 3"],
    [arrows.some((arrow) => arrow.received === null), "arrow lost", "message that nobody took", "M2 6L20 6m-5 -3L20 6l-5 3"],
    [spans.some((span) => span.last), "death", "a process ended", "M7 2l8 8m0 -8l-8 8"],
    [notes.length > 0, "note", "output, connection or journal", "M11 3v6"],
    [bound, "allowed", late ? "time allowed" : "time that passed"],
    [bound, "broken", late ? "time after the bound" : "too early by this"],
  ].filter(([occurs]) => occurs).map(([, ...entry]) => entry);
}

// ----- the drawing

class Picture {
  constructor(element, data, options) {
    this.options = { result: "", label: "", untilNow: false, ...options };
    this.root = d3.select(element).classed("timeline", true);
    this.legend = this.root.append("div").attr("class", "legend");
    this.svg = this.root.append("svg").attr("tabindex", 0).attr("role", "application").attr("aria-label", `Timeline: ${this.options.label}`);
    this.tip = this.root.append("div").attr("class", "tip").attr("role", "status").attr("aria-live", "polite").attr("hidden", "");
    this.root.append("p").attr("class", "keys")
      .text("Drag or ← → to move, + − or Ctrl+wheel to zoom (after a click the wheel alone), 0 shows all, ↑ ↓ go from event to event.");
    this.leftOut = this.root.append("p").attr("class", "left-out");
    this.id = `timeline-${++drawn}`;
    this.zoom = d3.zoom().on("zoom", () => { this.transform = d3.event.transform; this.place(); })
      .filter(() => d3.event.type !== "wheel" || d3.event.ctrlKey || d3.event.metaKey || document.activeElement === this.svg.node());
    this.transform = d3.zoomIdentity;
    this.pointer = this.picked = null;
    this.update(data);
    this.listen(element);
  }

  listen(element) {
    this.svg.call(this.zoom).on("dblclick.zoom", null);
    this.svg.on("mousemove", () => this.hover(d3.mouse(this.svg.node()))).on("mouseleave", () => this.hover(null));
    this.svg.on("keydown", () => this.key(d3.event)).on("blur", () => this.pick(null));
    new ResizeObserver(() => {
      if (Math.abs(element.clientWidth - this.layout.width) > 1) this.lay();
    }).observe(element);
  }

  update(data) {
    this.data = { judged: null, seen: "", bound: null, leftOut: {}, ...data };
    for (const name of LISTS) this.data[name] = rowsOf(data[name]);
    this.versions = versionsOf(this.data);
    this.picked = null;
    this.steps = null;
    this.drawLegend();
    this.lay();
    this.hover(this.pointer);
  }

  drawLegend() {
    const left = Object.entries(this.data.leftOut).map(([what, count]) => `${count} ${what}`);
    this.leftOut.text(left.length ? `Not drawn, because there are so many: ${left.join(", ")}.` : "");
    const entries = this.legend.selectAll("span").data(legendOf(this.data, this.versions)).join("span").text("");
    const swatch = entries.append("svg").attr("aria-hidden", "true");
    swatch.filter(([, , path]) => path).append("path").attr("class", ([name]) => name).attr("d", ([, , path]) => path);
    swatch.filter(([, , path]) => !path).append("rect").attr("class", ([name]) => `swatch ${name}`).attr("x", 1).attr("y", 1).attr("width", 20).attr("height", 10);
    swatch.filter(([name]) => name === "state-stopped").append("rect").attr("width", 20).attr("height", 10).attr("x", 1).attr("y", 1)
      .attr("fill", `url(#${this.id}-hatch)`);
    entries.each(function ([, text]) { this.append(text); });
  }

  // Everything that does not move: called when the data or the width is new.
  lay() {
    const { data, svg } = this;
    const layout = this.layout = layOut(data, Math.max(280, this.root.node().clientWidth));
    this.scale = layout.scale;
    const area = [[layout.left, 0], [layout.width - layout.right, layout.height]];
    this.zoom.extent(area).translateExtent(area).scaleExtent([1, Math.max(1, data.end / 2)]);
    svg.selectAll("*").remove();
    svg.attr("viewBox", `0 0 ${layout.width} ${layout.height}`);
    this.define();
    const rows = svg.append("g");
    rows.selectAll("rect").data(data.lanes).join("rect").attr("class", (_, index) => `lane-row ${index % 2 ? "odd" : "even"}`)
      .attr("x", 0).attr("width", layout.width).attr("y", (_, index) => layout.tops[index]).attr("height", (_, index) => layout.heights[index]);
    this.drawLabels(svg.append("g"));
    this.axis = svg.append("g").attr("class", "axis").attr("transform", "translate(0,18)");
    this.layers = {};
    const plot = svg.append("g").attr("clip-path", `url(#${this.id}-clip)`);
    for (const name of ["bound", "spans", "hatch", "bars", "deaths", "inside", "after", "due", "blame", "notes", "arrows", "marks", "said"]) {
      this.layers[name] = plot.append("g");
    }
    this.place();
  }

  define() {
    const { layout, svg } = this;
    const defs = svg.append("defs");
    defs.append("clipPath").attr("id", `${this.id}-clip`).append("rect").attr("x", layout.left).attr("y", 0)
      .attr("width", Math.max(1, layout.width - layout.left - layout.right + 8)).attr("height", layout.height);
    defs.append("pattern").attr("id", `${this.id}-hatch`).attr("width", 6).attr("height", 6).attr("patternUnits", "userSpaceOnUse")
      .attr("patternTransform", "rotate(45)").append("line").attr("class", "stopped-hatch").attr("y2", 6);
  }

  drawLabels(labels) {
    const { data, layout } = this;
    const letters = Math.floor((layout.left - 6) / LETTER);
    const texts = labels.selectAll(".lane-name").data(data.lanes).join("text").attr("class", "lane-name").attr("x", 2)
      .attr("y", (_, index) => layout.tops[index] + layout.heights[index] / 2 + 4);
    texts.append("tspan").text((lane) => lane.name.slice(0, letters));
    texts.filter((lane) => lane.pid && laneLabel(lane).length <= letters).append("tspan").attr("class", "lane-pid").attr("dx", 5)
      .text((lane) => lane.pid);
    labels.selectAll(".group-name").data(layout.groups).join("text").attr("class", "group-name").attr("x", 2)
      .attr("y", (group) => group.y + LINE - 2).text((group) => group.name);
  }

  // Everything that moves with the zoom: only what is in sight is drawn.
  place() {
    const x = this.x = this.transform.rescaleX(this.scale);
    const { data, layers, layout } = this;
    const [from, to] = x.domain();
    const insight = (start, end) => start <= to && end >= from;
    this.axis.call(d3.axisTop(x).ticks(Math.max(2, (layout.width - layout.left) / 90)).tickSize(-layout.bottom + 18)
      .tickFormat((ms) => this.tick(this.options.untilNow ? ms - data.end : ms)));
    const middle = (lane, high) => layout.tops[lane] + (layout.heights[lane] - high) / 2;
    const wide = (part) => Math.max(1.5, x(part.end) - x(part.start));
    const boxes = (layer, parts, high, name) => layer.selectAll("rect").data(parts).join("rect").attr("class", name)
      .attr("x", (part) => x(part.start)).attr("y", (part) => middle(part.lane, high)).attr("width", wide).attr("height", high)
      .classed("picked", (part) => this.picked && part === this.picked.thing);
    const spans = data.spans.filter((span) => insight(span.start, span.end));
    const bars = data.bars.filter((bar) => insight(bar.start, bar.end));
    boxes(layers.spans, spans, 14, (span) => spanClass(span, this.versions));
    boxes(layers.hatch, spans.filter((span) => span.state === "stopped"), 14, "").attr("fill", `url(#${this.id}-hatch)`);
    boxes(layers.bars, bars, 11, (bar) => `bar outcome-${bar.outcome}${bar.blamed ? " blamed" : ""}`);
    layers.blame.selectAll("path").data(bars.filter((bar) => bar.blamed)).join("path").attr("class", "blame")
      .attr("d", (bar) => `M${x(bar.start) + Math.min(8, wide(bar) / 2)} ${middle(bar.lane, 9)}l5 -9h-10z`);
    layers.deaths.selectAll("path").data(spans.filter((span) => span.last)).join("path").attr("class", "death")
      .attr("d", (span) => `M${x(span.end) + 1} ${middle(span.lane, 8)}l8 8m0 -8l-8 8`);
    this.placeInside([...spans.map((span) => [span, span.version && span.state === "ready" ? `ready ${span.version}` : span.state]),
      ...bars.map((bar) => [bar, bar.told])]);
    layers.notes.selectAll("line").data(data.notes.filter((note) => insight(note.t, note.t))).join("line").attr("class", "note")
      .classed("picked", (note) => this.picked && note === this.picked.thing)
      .attr("x1", (note) => x(note.t)).attr("x2", (note) => x(note.t))
      .attr("y1", (note) => layout.tops[note.lane] + layout.heights[note.lane] - 5).attr("y2", (note) => layout.tops[note.lane] + layout.heights[note.lane]);
    this.placeArrows(data.arrows.filter((arrow) => insight(arrow.sent, arrow.received === null ? arrow.sent : arrow.received)));
    this.placeMarks(data.marks.filter((mark) => insight(mark.t, mark.t)));
    this.placeVerdict();
  }

  tick(ms) {
    return this.options.untilNow && ms === 0 ? "now" : `${+(ms / 1000).toFixed(4)} s`;
  }

  // Words inside of what is wide enough for them.
  placeInside(parts) {
    const { x, layout } = this;
    const left = (part) => Math.max(x(part.start), layout.left);
    const fitting = parts.filter(([part, text]) => Math.min(x(part.end), layout.width) - left(part) > text.length * LETTER + 6);
    this.layers.inside.selectAll("text").data(fitting).join("text").attr("x", ([part]) => left(part) + 4)
      .attr("class", ([part]) => `inside${part.outcome === "waiting" ? " on-paper" : ""}${part.state === "stopped" ? " on-hatch" : ""}${
        part.state === "ready" && this.versions.indexOf(part.version) % 3 === 1 ? " on-blue" : ""}`)
      .attr("y", ([part]) => layout.tops[part.lane] + layout.heights[part.lane] / 2 + 4).text(([, text]) => text);
  }

  ends(arrow) {
    const { x, layout } = this;
    const down = arrow.target > arrow.source;
    const edge = (lane, below) => layout.tops[lane] + (below ? layout.heights[lane] - 3 : 3);
    const from = [x(arrow.sent), edge(arrow.source, down)];
    const to = [x(arrow.received === null ? arrow.sent : arrow.received), edge(arrow.target, !down)];
    return [from, to];
  }

  placeArrows(arrows) {
    const id = this.picked && this.picked.kind === "arrow" ? this.picked.thing.id : "";
    this.svg.classed("joining", Boolean(id));
    this.layers.arrows.selectAll("path").data(arrows).join("path")
      .attr("class", (arrow) => `arrow${arrow.received === null ? " lost" : ""}${id && arrow.id === id ? " joined" : ""}`)
      .classed("picked", (arrow) => this.picked && arrow === this.picked.thing)
      .attr("d", (arrow) => {
        const [[x1, y1], [x2, y2]] = this.ends(arrow);
        const length = Math.hypot(x2 - x1, y2 - y1) || 1;
        const [along, up] = [((x2 - x1) / length) * 5, ((y2 - y1) / length) * 5];
        return `M${x1} ${y1}L${x2} ${y2}m${-along - up * 0.6} ${-up + along * 0.6}L${x2} ${y2}l${-along + up * 0.6} ${-up - along * 0.6}`;
      });
  }

  // Signals: a line through the cluster's lanes, with a label above where there is room.
  placeMarks(marks) {
    const { x, layout } = this;
    const group = (mark) => layout.groups.find((one) => one.cluster === mark.cluster) || layout.groups[0];
    this.layers.marks.selectAll("line").data(marks).join("line").attr("class", "mark")
      .classed("picked", (mark) => this.picked && mark === this.picked.thing)
      .attr("x1", (mark) => x(mark.t)).attr("x2", (mark) => x(mark.t))
      .attr("y1", (mark) => group(mark).y + 2).attr("y2", (mark) => group(mark).bottom);
    const labels = layout.groups.flatMap((at) => labelsOf(marks.filter((mark) => group(mark) === at), x, layout, at.lines)
      .map((label) => ({ ...label, y: at.y + LINE * (label.line + 1) - 2 })));
    this.layers.marks.selectAll("text").data(labels).join("text").attr("class", "mark-label").attr("x", (label) => label.left)
      .attr("y", (label) => label.y).text((label) => label.text);
  }

  // The bound that was not kept as a band, the moment of the verdict as a line; what came later is paler.
  placeVerdict() {
    const { data, x, layout, layers } = this;
    const { bound } = data;
    const top = 20;
    const late = bound && bound.end > bound.due;
    const bands = !bound ? [] : late ? [["allowed", bound.start, bound.due], ["broken", bound.due, bound.end]]
      : [["allowed", bound.start, bound.end], ["broken", bound.end, bound.due]];
    layers.bound.selectAll("rect").data(bands).join("rect").attr("class", ([name]) => name).attr("x", ([, start]) => x(start))
      .attr("width", ([, start, end]) => Math.max(0, x(end) - x(start))).attr("y", top).attr("height", layout.bottom - top);
    layers.due.selectAll("line").data(bound ? [bound] : []).join("line").attr("class", "due").attr("x1", x(bound ? bound.due : 0))
      .attr("x2", x(bound ? bound.due : 0)).attr("y1", top).attr("y2", layout.bottom);
    const judged = data.judged === null ? [] : [data.judged];
    layers.after.selectAll("rect").data(judged).join("rect").attr("class", "after").attr("x", (t) => x(t)).attr("y", top)
      .attr("width", Math.max(0, layout.width - x(judged[0]))).attr("height", layout.bottom - top);
    layers.said.selectAll("line").data(judged).join("line").attr("class", `judged ${this.options.result}`).attr("x1", (t) => x(t))
      .attr("x2", (t) => x(t)).attr("y1", top).attr("y2", layout.bottom);
    const labels = judged.map((t) => ({ t, text: `verdict: ${this.options.result || "reached"}`, y: top + LINE - 3 }));
    if (bound) {
      labels.push({ t: bound.due, y: top + 2 * LINE - 3, text: late ? `due after ${duration(bound.due - bound.start)}`
        : `not before ${duration(bound.due - bound.start)}` });
    }
    const before = (label) => x(label.t) + (label.text.length + 1) * LETTER > layout.width - layout.right;
    layers.said.selectAll("text").data(labels).join("text").attr("class", `verdict ${this.options.result}`).attr("y", (label) => label.y)
      .attr("text-anchor", (label) => (before(label) ? "end" : "start")).attr("x", (label) => x(label.t) + (before(label) ? -4 : 4))
      .text((label) => label.text);
  }

  // ----- pointing at things

  hover(pointer) {
    this.pointer = pointer;
    this.pick(pointer && pointer[0] >= this.layout.left ? this.under(...pointer) : null, pointer);
  }

  // What is at that place: what is small goes before what is large.
  under(px, py) {
    const { data, x, layout } = this;
    const lane = layout.tops.findIndex((top, index) => py >= top && py < top + layout.heights[index] + 1);
    const near = (t) => Math.abs(x(t) - px) < 4;
    const inside = (part) => part.lane === lane && x(part.start) - 3 <= px && px <= x(part.end) + 3;
    const group = layout.groups.find((one) => py >= one.y && py < one.bottom);
    const found = (kind, thing) => (thing ? { kind, thing } : null);
    return found("mark", group && py < group.y + LINE * group.lines && data.marks.find((mark) => mark.cluster === group.cluster && near(mark.t)))
      || found("bar", data.bars.find(inside))
      || found("note", data.notes.find((note) => note.lane === lane && near(note.t) && py > layout.tops[lane] + layout.heights[lane] - 7))
      || found("arrow", data.arrows.find((arrow) => this.distance(arrow, px, py) < 4))
      || found("mark", group && data.marks.find((mark) => mark.cluster === group.cluster && near(mark.t)))
      || found("span", data.spans.find((span) => span.lane === lane && x(span.start) <= px && px <= x(span.end) + 3));
  }

  distance(arrow, px, py) {
    const [[x1, y1], [x2, y2]] = this.ends(arrow);
    const square = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1;
    const part = Math.max(0, Math.min(1, ((px - x1) * (x2 - x1) + (py - y1) * (y2 - y1)) / square));
    return Math.hypot(px - x1 - part * (x2 - x1), py - y1 - part * (y2 - y1));
  }

  pick(found, at) {
    const same = (found && found.thing) === (this.picked && this.picked.thing);
    this.picked = found;
    if (!same) this.place();
    if (!found) {
      this.tip.attr("hidden", "");
      return;
    }
    const lines = tell(this.data, found.kind, found.thing).filter(Boolean);
    this.tip.attr("hidden", null).selectAll("div").data(lines).join("div").text((line) => line);
    this.putTip(at || this.whereIs(found));
  }

  putTip([px, py]) {
    const svg = this.svg.node();
    const [room, box] = [this.root.node().clientWidth, this.tip.node()];
    const shrink = svg.clientWidth / this.layout.width;
    const left = px * shrink + 14 + box.offsetWidth > room ? Math.max(0, px * shrink - box.offsetWidth - 14) : px * shrink + 14;
    this.tip.style("left", `${left}px`).style("top", `${svg.getBoundingClientRect().top - this.root.node().getBoundingClientRect().top + py * shrink + 16}px`);
  }

  // ----- the keyboard

  key(event) {
    const steps = { ArrowLeft: () => this.move(0.15), ArrowRight: () => this.move(-0.15), "+": () => this.grow(1.5), "=": () => this.grow(1.5),
      "-": () => this.grow(1 / 1.5), 0: () => this.svg.call(this.zoom.transform, d3.zoomIdentity), ArrowUp: () => this.step(-1),
      ArrowDown: () => this.step(1), Escape: () => this.pick(null) };
    if (!steps[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    steps[event.key]();
  }

  move(share) {
    const { layout } = this;
    this.svg.call(this.zoom.translateBy, ((layout.width - layout.left) * share) / this.transform.k, 0);
  }

  // About what is picked, if something is.
  grow(factor) {
    const at = this.picked && this.whereIs(this.picked);
    this.svg.call(this.zoom.scaleBy, factor, at && at[0] >= this.layout.left ? at : undefined);
  }

  step(by) {
    const { data } = this;
    this.steps = this.steps || d3.merge([
      data.bars.map((thing) => ({ kind: "bar", thing, t: thing.start })), data.arrows.map((thing) => ({ kind: "arrow", thing, t: thing.sent })),
      data.notes.map((thing) => ({ kind: "note", thing, t: thing.t })), data.marks.map((thing) => ({ kind: "mark", thing, t: thing.t })),
      data.spans.map((thing) => ({ kind: "span", thing, t: thing.start }))]).sort((a, b) => a.t - b.t);
    if (!this.steps.length) return;
    const now = this.picked ? this.steps.findIndex((one) => one.thing === this.picked.thing) : by > 0 ? -1 : this.steps.length;
    const next = this.steps[Math.max(0, Math.min(this.steps.length - 1, now + by))];
    const at = this.x(next.t);
    if (at < this.layout.left || at > this.layout.width - this.layout.right) this.svg.call(this.zoom.translateTo, this.scale(next.t), 0);
    this.pick(next);
  }

  whereIs({ kind, thing }) {
    const { x, layout } = this;
    if (kind === "arrow") return this.ends(thing)[0];
    if (kind === "mark") return [x(thing.t), layout.groups.find((group) => group.cluster === thing.cluster).y + 4];
    return [x(thing.t === undefined ? thing.start : thing.t), layout.tops[thing.lane] + layout.heights[thing.lane] - 6];
  }
}

function drawTimeline(element, data, options) {
  const picture = new Picture(element, data, options);
  return { update: (newer) => picture.update(newer) };
}

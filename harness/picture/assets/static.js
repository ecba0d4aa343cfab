// staticPicture(data, options, width, css): one timeline as the text of an SVG file that needs no script, with its legend and colours in it.
// It is light or dark as whoever looks at it prefers. Run by picture.py in a page that has timeline.js and D3.
"use strict";

function staticPicture(data, options, width, css) {
  const container = document.createElement("div");
  container.style.width = `${width}px`;
  document.body.append(container);
  drawTimeline(container, data, options);
  const svg = d3.select(container).select(":scope > svg");
  const [, , , height] = svg.attr("viewBox").split(" ").map(Number);
  const legend = inRows(d3.select(container).selectAll(".legend > span").data(), width);
  const head = 46 + 15 * legend[legend.length - 1].row;
  container.remove();

  svg.attr("tabindex", null).attr("aria-label", null).attr("role", "img").attr("class", "timeline").attr("xmlns", "http://www.w3.org/2000/svg")
    .attr("width", width).attr("height", height + head).attr("viewBox", `0 ${-head} ${width} ${height + head}`)
    .attr("style", "font: 11px system-ui, 'DejaVu Sans', sans-serif");
  svg.insert("rect", ":first-child").attr("y", -head).attr("width", width).attr("height", height + head).attr("fill", "var(--paper)");
  svg.insert("style", ":first-child").text(css);
  svg.insert("title", ":first-child").text(options.label);
  svg.append("text").attr("class", "group-name").attr("x", 2).attr("y", 14 - head).attr("font-size", 13).text(options.label);
  for (const { name, text, path, x, row } of legend) {
    const entry = svg.append("g").attr("transform", `translate(${x},${24 - head + 15 * row})`);
    if (path) entry.append("path").attr("class", name).attr("d", path);
    else entry.append("rect").attr("class", `swatch ${name}`).attr("y", 1).attr("width", 18).attr("height", 10);
    entry.append("text").attr("x", 23).attr("y", 10).text(text);
  }
  return new XMLSerializer().serializeToString(svg.node());
}

// The entries of a legend, each behind the one before as long as there is room in the row.
function inRows(entries, width) {
  let [x, row] = [2, 0];
  return entries.map(([name, text, path]) => {
    const wide = 23 + text.length * LETTER + 14;
    if (x > 2 && x + wide > width) [x, row] = [2, row + 1];
    x += wide;
    return { name, text, path, x: x - wide, row };
  });
}

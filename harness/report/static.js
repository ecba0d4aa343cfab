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
  const names = d3.select(container).selectAll(".legend > span").data();
  container.remove();

  svg.attr("tabindex", null).attr("aria-label", null).attr("role", "img").attr("class", "timeline").attr("xmlns", "http://www.w3.org/2000/svg")
    .attr("width", width).attr("height", height + 46).attr("viewBox", `0 -46 ${width} ${height + 46}`)
    .attr("style", "font: 11px system-ui, 'DejaVu Sans', sans-serif");
  svg.insert("rect", ":first-child").attr("y", -46).attr("width", width).attr("height", height + 46).attr("fill", "var(--paper)");
  svg.insert("style", ":first-child").text(css);
  svg.insert("title", ":first-child").text(options.label);
  svg.append("text").attr("class", "group-name").attr("x", 2).attr("y", -32).attr("font-size", 13).text(options.label);
  let x = 2;
  for (const [name, text] of names) {
    svg.append("rect").attr("class", `swatch ${name}`).attr("x", x).attr("y", -21).attr("width", 18).attr("height", 10);
    svg.append("text").attr("x", x + 23).attr("y", -12).text(text);
    x += 23 + text.length * LETTER + 14;
  }
  return new XMLSerializer().serializeToString(svg.node());
}

/* The parts around the chart. Every text goes in as text: data holds what events hold, and that can be anything. */

function node(tag, className, ...children) {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...children) // strings become text nodes
  return element
}

function button(className, onclick, ...children) {
  const element = node("button", className, ...children)
  element.type = "button"
  element.addEventListener("click", onclick)
  return element
}

function named(text, className) {
  const element = node("span", className, text)
  element.title = text
  return element
}

function figures(element, data) {
  const parts = (data.figures ?? []).map(({ label, value, hint, warn }) => {
    const figure = node("div", warn ? "figure warn" : "figure", node("dt", "", label), node("dd", "", value))
    if (hint) figure.title = hint
    return figure
  })
  element.replaceChildren(node("p", "sentence", data.sentence ?? ""), node("dl", "", ...parts))
}

function notice(element, data) {
  element.replaceChildren()
  if (!data.title) return
  const lines = (data.lines ?? []).map(({ text, code }) => node("p", "", text, ...(code ? [node("code", "", code)] : [])))
  const box = node("div", data.beside ? "message beside" : "message", node("h2", "", data.title), ...lines)
  box.setAttribute("role", "status")
  element.append(box)
}

function chosen(element, data, send) {
  const chips = (data.users ?? []).map(({ user, name, colour, value, hint, known }) => {
    const swatch = node("i", "swatch")
    swatch.style.background = colour
    const remove = button("remove", () => send({ remove: user }), "×")
    remove.setAttribute("aria-label", `Remove ${name}`)
    remove.title = "Remove from the chart"
    const chip = node("li", known ? "chip" : "chip unknown", swatch, named(name, "name"), node("b", "", value), remove)
    if (hint) chip.title = hint
    return chip
  })
  element.replaceChildren(node("ul", "chips", ...chips))
  if (data.query && data.query !== location.search) history.replaceState(null, "", data.query + location.hash)
}

const SHAPES = {
  circle: "M8 4.5a3.5 3.5 0 1 0 .01 0z",
  triangle: "M8 2.5l6 11h-12z",
  diamond: "M8 1l4.5 7-4.5 7-4.5-7z",
  star: "M8 .8l1.8 5.2h5.4l-4.3 3.3 1.6 5.3-4.5-3.2-4.5 3.2 1.6-5.3-4.3-3.3h5.4z",
}

function shape(name, colour) {
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag))
  svg.setAttribute("viewBox", "0 0 16 16")
  path.setAttribute("d", SHAPES[name])
  path.setAttribute("fill", colour)
  svg.append(path)
  return svg
}

function controls(element, data, send) {
  const types = (data.legend ?? []).map(({ key, title, shape: name, colour, shown }) => {
    const type = button("type", () => send({ toggle: key }), shape(name, colour), title)
    type.setAttribute("aria-pressed", String(shown))
    type.title = shown ? `Hide each ${title.toLowerCase()}` : `Show each ${title.toLowerCase()}`
    return type
  })
  const windows = (data.windows ?? []).map(({ key, title }) => {
    const choice = button("choice", () => send({ window: key }), title)
    choice.setAttribute("aria-pressed", String(key === data.window))
    return choice
  })
  const group = node("div", "group", ...windows)
  group.setAttribute("role", "group")
  group.setAttribute("aria-label", "Visible window")
  const still = data.paused || data.held
  const live = button(still ? "live paused" : "live", () => send({ pause: !data.paused }), node("i", "dot"))
  live.append(data.paused ? "Paused" : data.held ? "Held" : "Live")
  live.title = data.paused ? "Follow the stream again" : data.held ? "Goes on when the pointer leaves the chart" : "Hold the page still"
  element.replaceChildren(node("div", "bar", node("div", "legend", ...types), group, live))
}

function ranking(data, send) {
  const rows = (data.users ?? []).map(({ user, name, value, when, colour }) => {
    const swatch = node("i", "swatch")
    if (colour) swatch.style.background = colour
    const row = button("row", () => send(colour ? { remove: user } : { add: user }), swatch)
    row.append(named(name, "name"), node("b", "", value), node("small", "", when))
    row.setAttribute("aria-pressed", String(Boolean(colour)))
    return node("li", "", row)
  })
  return rows.length ? node("ol", "ranking", ...rows) : node("p", "quiet", "No users yet.")
}

/* The search box is made once, so that typing is never interrupted by what comes in. */
function picker(element, data, send) {
  if (!element.search) {
    const input = node("input")
    Object.assign(input, { type: "search", placeholder: "User id…", autocomplete: "off", spellcheck: false })
    input.setAttribute("aria-label", "Find a user by id")
    let timer
    input.addEventListener("input", () => {
      clearTimeout(timer)
      timer = setTimeout(() => send({ search: input.value }), 120)
    })
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && input.value) {
        clearTimeout(timer)
        send({ enter: input.value })
      } else if (event.key === "Escape") {
        input.value = ""
        send({ search: "" })
      } else if (event.key === "ArrowDown") {
        event.preventDefault()
        element.found.querySelector("button")?.focus()
      }
    })
    element.search = input
    element.found = node("div", "found")
    element.lists = node("div", "lists")
    element.append(node("h2", "", "Find a user"), input, element.found, element.lists)
  }
  if (data.clear && data.clear !== element.cleared) {
    element.cleared = data.clear
    element.search.value = ""
  }
  const found = (data.found ?? []).map(({ user, name }) => node("li", "", button("row plain", () => send({ add: user }), named(name, "name"))))
  const message = node("p", "quiet", data.message ?? "")
  message.setAttribute("role", "status")
  const held = element.getRootNode().activeElement
  if (JSON.stringify([data.found, data.message]) !== element.shown) {
    element.shown = JSON.stringify([data.found, data.message])
    element.found.replaceChildren(...(found.length ? [node("ul", "ranking", ...found)] : []), ...(data.message ? [message] : []))
  }
  const place = [...element.lists.querySelectorAll("button")].indexOf(held)
  const tabs = [["likely", "Most likely now"], ["recent", "Most recent"]].map(([key, title]) => {
    const tab = button("tab", () => send({ list: key }), title)
    tab.setAttribute("aria-pressed", String(key === data.list))
    return tab
  })
  element.lists.replaceChildren(node("div", "tabs", ...tabs), ranking(data, send))
  if (place >= 0) element.lists.querySelectorAll("button")[place]?.focus()
}

const kinds = { figures, notice, chosen, controls, picker }

export function render({ model }) {
  const element = node("div", `part ${model.kind}`)
  const draw = () => kinds[model.kind](element, model.data, (message) => model.send_msg(message))
  model.on("data", draw)
  draw()
  return element
}

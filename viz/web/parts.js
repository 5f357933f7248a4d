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
  element.onclick = onclick
  return element
}

function keyed(key, element) {
  element.key = key
  return element
}

/* What tells children apart: their key, or else their place among those of the same tag. */
function keysOf(children) {
  const counts = {}
  return children.map((child) => child.key ?? `${child.nodeName} ${(counts[child.nodeName] = (counts[child.nodeName] ?? 0) + 1)}`)
}

/* Gives an element these children. One that is there already, by its key, stays and is changed in place, so that nobody's
   click or focus is lost to what comes in: the one that has the focus is not even moved, the others are, around it. */
function put(element, ...children) {
  const fresh = children.map((child) => (typeof child === "string" ? document.createTextNode(child) : child))
  const old = [...element.childNodes], keys = keysOf(old)
  const held = new Map(old.map((child, place) => [keys[place], child]))
  const places = keysOf(fresh)
  const wanted = fresh.map((child, place) => become(held.get(places[place]), child))
  const kept = new Set(wanted)
  old.filter((child) => !kept.has(child)).forEach((child) => child.remove())
  const focused = element.getRootNode().activeElement
  let next = element.firstChild
  for (const child of wanted) {
    while (focused && child.contains(focused) && next !== child) {
      const other = next
      next = next.nextSibling
      element.append(other)
    }
    if (child === next) next = next.nextSibling
    else element.insertBefore(child, next)
  }
}

/* The old node with all that the fresh one is, or the fresh one where there is no old one. */
function become(old, fresh) {
  if (!old) return fresh
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data
    return old
  }
  for (const name of old.getAttributeNames()) if (!fresh.hasAttribute(name)) old.removeAttribute(name)
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  old.onclick = fresh.onclick
  put(old, ...fresh.childNodes)
  return old
}

function named(text, className) {
  const element = node("span", className, text)
  element.title = text
  return element
}

function swatch(colour) {
  const element = node("i", "swatch")
  element.style.background = colour
  return element
}

function choices(label, options, chosen, choose) {
  const group = node("div", "group", ...Object.entries(options).map(([key, title]) => {
    const choice = keyed(key, button("choice", () => choose(key), title))
    choice.setAttribute("aria-pressed", String(key === chosen))
    return choice
  }))
  group.setAttribute("role", "group")
  group.setAttribute("aria-label", label)
  return group
}

function figures(element, data) {
  const parts = (data.figures ?? []).map(({ label, value, hint, warn }) => {
    const figure = node("div", warn ? "figure warn" : "figure", node("dt", "", label), node("dd", "", value))
    if (hint) figure.title = hint
    return figure
  })
  put(element, node("p", "sentence", data.sentence ?? ""), node("dl", "", ...parts))
}

function notice(element, data) {
  if (!data.title) return put(element)
  const lines = (data.lines ?? []).map(({ text, code }) => node("p", "", text, ...(code ? [node("code", "", code)] : [])))
  const box = node("div", data.beside ? "message beside" : "message", node("h2", "", data.title), ...lines)
  box.setAttribute("role", "status")
  put(element, box)
}

function chosen(element, data, send) {
  const chips = (data.users ?? []).map(({ user, name, colour, value, hint, known }) => {
    const remove = button("remove", () => send({ remove: user }), "×")
    remove.setAttribute("aria-label", `Remove ${name}`)
    remove.title = "Remove from the chart"
    const chip = keyed(user, node("li", known ? "chip" : "chip unknown", swatch(colour), named(name, "name"), node("b", "", value), remove))
    if (hint) chip.title = hint
    return chip
  })
  put(element, node("ul", "chips", ...chips))
  if (data.query && data.query !== location.search) history.replaceState(null, "", data.query + location.hash)
}

const SHAPES = {
  circle: "M8 4.5a3.5 3.5 0 1 0 .01 0z",
  triangle: "M8 2.5l6 11h-12z",
  diamond: "M8 1l4.5 7-4.5 7-4.5-7z",
  star: "M8 .8l1.8 5.2h5.4l-4.3 3.3 1.6 5.3-4.5-3.2-4.5 3.2 1.6-5.3-4.3-3.3h5.4z",
  square: "M3.5 3.5h9v9h-9z",
  hex: "M8 2l5.2 3v6l-5.2 3-5.2-3v-6z",
  inverted_triangle: "M8 13.5l6-11h-12z",
  plus: "M6.5 2h3v4.5h4.5v3h-4.5v4.5h-3v-4.5h-4.5v-3h4.5z",
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
    const type = keyed(key, button("type", () => send({ toggle: key }), shape(name, colour), title))
    type.setAttribute("aria-pressed", String(shown))
    type.title = shown ? `Hide each ${title.toLowerCase()}` : `Show each ${title.toLowerCase()}`
    return type
  })
  const titles = Object.fromEntries((data.windows ?? []).map(({ key, title }) => [key, title]))
  const group = choices("Visible window", titles, data.window, (key) => send({ window: key }))
  const still = data.paused || data.held
  const quiet = !still && !data.moving
  const live = button(still ? "live paused" : quiet ? "live waiting" : "live", () => send({ pause: !data.paused }), node("i", "dot"))
  live.append(node("span", "", data.paused ? "Paused" : data.held ? "Held" : "Live"))
  if (quiet) live.append(node("small", "", "no new events"))
  live.title = data.paused ? "Follow the stream again" : data.held ? "Goes on when the pointer leaves the chart"
    : quiet ? "No newer event has come for some seconds. Click to hold the page still" : "Hold the page still"
  put(element, node("div", "bar", node("div", "legend", ...types), group, live))
}

function ranking(data, send) {
  const rows = (data.users ?? []).map(({ user, name, value, when, colour }) => {
    const row = button("row", () => send(colour ? { remove: user } : { add: user }), swatch(colour))
    row.append(named(name, "name"), node("b", "", value), node("small", "", when))
    row.setAttribute("aria-pressed", String(Boolean(colour)))
    return keyed(user, node("li", "", row))
  })
  return rows.length ? node("ol", "ranking", ...rows) : node("p", "quiet", "No users yet.")
}

/* The search box is made once, so that typing is never interrupted by what comes in. */
function picker(element, data, send) {
  if (!element.search) {
    const input = node("input")
    Object.assign(input, { type: "search", placeholder: "User id…", autocomplete: "off", spellcheck: false, maxLength: 1024 })
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
  if (data.clear && data.clear.count !== element.cleared) {
    element.cleared = data.clear.count
    if (element.search.value === data.clear.text) element.search.value = "" // unless somebody types on
  }
  const found = (data.found ?? []).map(({ user, name }) => keyed(user, node("li", "", button("row plain", () => send({ add: user }), named(name, "name")))))
  const message = node("p", "quiet", data.message ?? "")
  message.setAttribute("role", "status")
  put(element.found, ...(found.length ? [node("ul", "ranking", ...found)] : []), ...(data.message ? [message] : []))
  const tabs = [["likely", "Most likely now"], ["recent", "Most recent"]].map(([key, title]) => {
    const tab = keyed(key, button("tab", () => send({ list: key }), title))
    tab.setAttribute("aria-pressed", String(key === data.list))
    return tab
  })
  put(element.lists, node("div", "tabs", ...tabs), ranking(data, send))
}

/* A piece of a part, in a box of its own that is empty where there is no data. */
function piece(element, name, data, make) {
  element.pieces ??= {}
  put((element.pieces[name] ??= element.appendChild(node("div", name))), ...(data ? make(data) : []))
}

function colouredBar(className, colour, width, start = 0) {
  const bar = node("i", className)
  Object.assign(bar.style, { background: colour, width: `${width}%`, left: `${start}%` })
  bar.hidden = !width
  return bar
}

/* The panels that are of now say so, and step back, while those of a user explain another moment. */
function stepBack(now, send) {
  for (const section of document.querySelectorAll(".of-now")) {
    section.classList.toggle("behind", Boolean(now))
    let note = section.querySelector(":scope > .now-note")
    if (!now) {
      note?.remove()
    } else if (note?.dataset.now !== now) {
      note?.remove()
      note = node("p", "now-note", `As of now, ${now}. `, button("", () => send({ now: true }), "Back to now"))
      note.dataset.now = now
      section.prepend(note)
    }
  }
}

function subject(element, data, send) {
  stepBack(data.now, send)
  const several = (data.users ?? []).length > 1
  piece(element, "about", several || data.moment ? [data.users, data.moment] : null, ([users, moment]) => {
    const group = node("div", "group", ...users.map(({ user, name, colour, chosen }) => {
      const choice = keyed(user, button("choice", () => send({ about: user }), swatch(colour), named(name, "name")))
      choice.setAttribute("aria-pressed", String(chosen))
      return choice
    }))
    group.setAttribute("role", "group")
    group.setAttribute("aria-label", "User explained below")
    const then = moment ? [node("span", "then quiet", `at ${moment}`), button("link", () => send({ now: true }), "Back to now")] : []
    return [node("span", "quiet", "Explain"), group, ...then]
  })
}

/* Why something is withheld, or not to be relied on. */
function cautioned(element, data) {
  piece(element, "cautions", data.caution, (text) => [node("p", "caution", text)])
}

function why(element, data, send) {
  const head = { by: data.by, choices: data.choices, moment: data.moment }
  piece(element, "head", head, ({ by, choices: options, moment }) => [
    node("h2", "", "Why"),
    ...(moment ? [node("span", "then quiet", moment), button("link", () => send({ now: true }), "Back to now")] : []),
    ...(options ? [choices("How the parts are listed", options, by, (key) => send({ by: key }))] : []),
  ])
  cautioned(element, data)
  piece(element, "quiet", data.note, (note) => [note])
  const parts = data.rows && { rows: data.rows, total: data.total, moment: data.moment }
  piece(element, "parts", parts, ({ rows, total, moment }) => [
    ...rows.map(({ name, detail, value, start, width, colour, less, hint }) => {
      const label = node("span", "label", named(name, "name"), ...(detail ? [node("small", "", detail)] : []))
      const track = node("span", "track", colouredBar(less ? "fill less" : "fill", colour, width, start))
      const part = node("div", "part-row", label, track, node("span", "value", value))
      if (hint) part.title = hint
      return part
    }),
    node("div", "part-row total", node("span", "label", moment ? "Propensity then" : "Propensity now"), node("span", "track"), node("span", "value", total)),
  ])
  piece(element, "foot quiet", data.rows ? "In percentage points; the parts add up to the propensity. A touch's part is not the jump it made in the curve: a later touch of the same kind adds less, and what touches add together is shared among them all. Click into the chart to see another moment." : null, (text) => [text])
}

function next_move(element, data) {
  piece(element, "head", true, () => [node("h2", "", "What next")])
  piece(element, "quiet", data.note, (note) => [note])
  piece(element, "verdict", data.verdict && [data.verdict, data.good], ([text, good]) => [node("p", good ? "good" : "none", text)])
  cautioned(element, data)
  piece(element, "said", data.sentence, (text) => [node("p", "", text)])
  piece(element, "options", data.options?.length ? [data.options, data.horizon] : null, ([options, hint]) => {
    const head = node("tr", "", ...["Impression", "Gain", "Net value"].map((title) => node("th", "", title)))
    head.title = hint
    return [node("table", "", head, ...options.map(({ name, gain, interval, net, tag, best }) => node("tr", best ? "best" : "",
      node("td", "", named(name, "name"), ...(tag ? [node("span", "tag", tag)] : [])),
      node("td", "number", gain, ...(interval ? [node("small", "", interval)] : [])),
      node("td", "number", net))))]
  })
  piece(element, "bids", data.bids?.length ? data.bids : null, (bids) => [node("table", "",
    node("tr", "", ...["Click or search", "Gain", "Break-even bid"].map((title) => node("th", "", title))),
    ...bids.map(({ name, gain, interval, bid }) => node("tr", "", node("td", "", named(name, "name")),
      node("td", "number", gain, ...(interval ? [node("small", "", interval)] : [])), node("td", "number", bid))))])
  piece(element, "foot quiet", data.hold_out, (text) => [text])
}

function credited(element, data) {
  piece(element, "head", true, () => [node("h2", "", "Credit"), node("span", "quiet", data.caution ? "by the last touch" : "by the model, beside the last touch")])
  cautioned(element, data)
  piece(element, "quiet", data.note, (text) => [text])
  piece(element, "conversions", data.conversions?.length ? [data.conversions, data.more] : null, ([conversions, more]) => [
    ...conversions.map(({ user, colour, when, revenue, parts, last, last_colour }) => node("article", "conversion",
      node("p", "who", swatch(colour), named(user, "name"), node("small", "", [when, revenue].filter(Boolean).join(", "))),
      ...(parts.length ? [node("div", "stack", ...parts.map(({ colour: own, width }) => colouredBar("segment", own, width)))] : []),
      node("ul", "shares", ...parts.map(({ name, value, colour: own }) => node("li", "", swatch(own), named(name, "name"), node("span", "value", value)))),
      node("p", "quiet last", "Last touch: all to ", swatch(last_colour), named(last, "name")))),
    ...(more ? [node("p", "quiet", `${more.toLocaleString("en")} earlier: their stars in the chart tell`)] : []),
  ])
  piece(element, "sums", data.sums?.length ? [data.sums, data.title] : null, ([sums, title]) => [
    node("h3", "", title),
    node("div", "sum-row heads", node("span", ""), node("span", "", sums[0].model === null ? "" : "Model"), node("span", "", "Last touch")),
    ...sums.map(({ name, colour, model, last, model_width, last_width }) => node("div", "sum-row", named(name, "name"),
      model === null ? node("span", "quiet", "withheld") : node("span", "sum", node("span", "track", colouredBar("fill", colour, model_width)), node("span", "value", model)),
      node("span", model === null ? "sum" : "sum faint", node("span", "track", colouredBar("fill", colour, last_width)), node("span", "value", last)))),
  ])
  piece(element, "foot quiet", data.caution ? null : data.basis, (text) => [text])
}

function graded(element, data) {
  piece(element, "head", data.model, (model) => [node("h2", "", "How good is the model?"), named(model, "name quiet")])
  cautioned(element, data)
  piece(element, "sets", data.sets, (sets) => sets.map(({ title, verdict, lines, note, caution }) => node("article", "grade",
    node("h3", "", title),
    ...(verdict ? [node("p", "verdict", verdict)] : []),
    ...(caution ? [node("p", "caution", caution)] : []),
    ...(note ? [node("p", "quiet", note)] : []),
    node("ul", "", ...lines.map(({ text, hint }) => node("li", "", text, ...(hint ? [node("small", "", hint)] : [])))))))
}

/* What the mouse does in the chart, by keys: the chart's own focus stop gets a name, and its keys are sent. */
const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "Enter", "Escape"]
const CHART = "Propensity curves. Left and right go from event to event, up and down to another user's curve, "
  + "Enter explains the moment, Escape comes back to now."

function keys(element, data, send) {
  if (!element.told) {
    element.told = element.appendChild(node("div", "told"))
    element.told.setAttribute("role", "status")
    const find = (root) => {
      for (const each of root.querySelectorAll("*")) {
        if (each.matches(".bk-events")) return each
        const found = each.shadowRoot && find(each.shadowRoot)
        if (found) return found
      }
      return null
    }
    const hook = () => {
      const plot = document.querySelector(".plot"), stop = plot && find(plot)
      if (!stop) return setTimeout(hook, 200)
      stop.tabIndex = 0
      stop.setAttribute("role", "application")
      stop.setAttribute("aria-roledescription", "chart")
      stop.setAttribute("aria-label", CHART)
      stop.addEventListener("keydown", (event) => {
        if (!KEYS.includes(event.key) || event.ctrlKey || event.altKey || event.metaKey) return
        event.preventDefault()
        send({ key: event.key })
      })
      stop.addEventListener("blur", () => send({ key: "Blur" }))
    }
    hook()
  }
  put(element.told, ...(data.told ? [data.told] : []))
}

const kinds = { keys, figures, notice, chosen, controls, picker, subject, why, next_move, credited, graded }

export function render({ model }) {
  const element = node("div", `part ${model.kind}`)
  const draw = () => kinds[model.kind](element, model.data, (message) => model.send_msg(message))
  model.on("data", draw)
  draw()
  return element
}

"use strict";
// One sequence of predictions: the camera's view with the meshes over its picture, a free view, and a timeline.
// Everything is in the camera's OpenCV axes (x right, y down, z forward) and metres.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const buffer = Uint8Array.from(atob(data.binary), (c) => c.charCodeAt(0)).buffer;
const TYPED = { float32: Float32Array, uint16: Uint16Array, uint32: Uint32Array };
const array = ({ dtype, offset, count }) => new TYPED[dtype](buffer, offset, count);
const NEAR = 0.01, FAR = 20;
const state = { shown: 0, playing: false, heat: false, opacity: 0.65, visible: {}, background: "picture" };

// ---- Meshes -------------------------------------------------------------------------------------------------------

const objectVertices = array(data.object.vertices);
const faces = { hand: array(data.hand_faces), object: array(data.object.faces) };
const layers = data.layers;
layers.forEach((layer) => (state.visible[layer.key] = layer.within === layers[0].key));
const handCount = data.hand_vertices, objectCount = objectVertices.length / 3;

function handOf({ hand, bounds }) {
  const out = new Float32Array(3 * handCount);
  for (let i = 0; i < out.length; i++) {
    const low = bounds[i % 3], high = bounds[3 + (i % 3)];
    out[i] = low + (hand[i] / 65535) * (high - low);
  }
  return out;
}

function objectOf({ pose: p }) {
  const out = new Float32Array(3 * objectCount);
  for (let v = 0; v < out.length; v += 3) {
    const x = objectVertices[v], y = objectVertices[v + 1], z = objectVertices[v + 2];
    for (let r = 0; r < 3; r++) out[v + r] = p[3 * r] * x + p[3 * r + 1] * y + p[3 * r + 2] * z + p[9 + r];
  }
  return out;
}

function normalsOf(vertices, triangles) {
  const normals = new Float32Array(vertices.length);
  for (let f = 0; f < triangles.length; f += 3) {
    const [a, b, c] = [3 * triangles[f], 3 * triangles[f + 1], 3 * triangles[f + 2]];
    const e = [0, 1, 2].map((k) => vertices[b + k] - vertices[a + k]), g = [0, 1, 2].map((k) => vertices[c + k] - vertices[a + k]);
    const n = [e[1] * g[2] - e[2] * g[1], e[2] * g[0] - e[0] * g[2], e[0] * g[1] - e[1] * g[0]];
    for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normals[corner + k] += n[k];
  }
  return normals;
}

const STOPS = [[38, 70, 160], [45, 160, 190], [120, 200, 90], [245, 210, 60], [240, 130, 40], [190, 25, 30]];
function heatColour(share) {
  const place = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1), low = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[low].map((value, k) => value + (place - low) * (STOPS[low + 1][k] - value));
}

function coloursOf(vertices, truth, plain, hidden) {
  const colours = new Uint8Array(vertices.length);
  for (let v = 0; v < vertices.length; v += 3) {
    let colour = plain;
    if (truth) colour = heatColour((1000 * Math.hypot(...[0, 1, 2].map((k) => vertices[v + k] - truth[v + k]))) / data.heat_mm);
    colours.set(colour, v);
  }
  return colours;
}

// What is drawn of a frame, for both views alike: for each visible layer its meshes, those of both hands together.
function meshesOf(frame) {
  const parts = layers.map((layer, number) => ({ ...layer, ...frame.layers[number] }));
  const truth = parts.find((layer) => layer.key === "truth" && layer.there);
  const drawn = new Map();
  for (const layer of parts.filter((one) => state.visible[one.key] && one.there)) {
    const compared = state.heat && truth && layer !== truth && layer.within === layer.key;
    const meshes = layer.parts.map((part) => {
      const make = part === "hand" ? handOf : objectOf, vertices = make(layer);
      return {
        vertices, faces: faces[part], normals: normalsOf(vertices, faces[part]),
        colours: coloursOf(vertices, compared ? make(truth) : null, layer.colours[part]), part, key: layer.key,
      };
    });
    drawn.set(layer.within, [...(drawn.get(layer.within) ?? []), ...meshes]);
  }
  return [...drawn.values()];
}

// ---- Frames -------------------------------------------------------------------------------------------------------

// A frame is its camera and what its layers show: embedded in the page, or asked of the server that serves it.
const POSE_FLOATS = 19; // of a layer: whether it is there, six bounds, twelve numbers of the object's pose
const KEPT = 32;

function remembered(make) {
  const kept = new Map();
  return (key) => {
    if (!kept.has(key)) {
      kept.set(key, make(key));
      kept.get(key).catch(() => kept.delete(key)); // to be asked for again
      if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    }
    return kept.get(key);
  };
}

const stored = data.served ? null : {
  cameras: array(data.cameras),
  layers: layers.map(({ there, hand, bounds, poses }) => ({ there: array(there), hand: array(hand), bounds: array(bounds), poses: array(poses) })),
};

function storedFrame(frame) {
  const row = (values, size) => values.subarray(size * frame, size * (frame + 1));
  return {
    camera: row(stored.cameras, 5),
    layers: stored.layers.map((layer) => ({
      there: layer.there[frame], hand: row(layer.hand, 3 * handCount), bounds: row(layer.bounds, 6), pose: row(layer.poses, 12),
    })),
  };
}

async function servedFrame(frame) {
  const answer = await fetch(`frame/${frame}.bin`);
  if (!answer.ok) throw new Error(await answer.text());
  const bytes = await answer.arrayBuffer(), floats = 5 + POSE_FLOATS * layers.length;
  const numbers = new Float32Array(bytes, 0, floats), hands = new Uint16Array(bytes, 4 * floats);
  return {
    camera: numbers.subarray(0, 5),
    layers: layers.map((_, number) => {
      const own = numbers.subarray(5 + POSE_FLOATS * number, 5 + POSE_FLOATS * (number + 1));
      const hand = hands.subarray(3 * handCount * number, 3 * handCount * (number + 1));
      return { there: own[0], bounds: own.subarray(1, 7), pose: own.subarray(7), hand };
    }),
  };
}

const frameOf = remembered((frame) => (data.served ? servedFrame(frame) : Promise.resolve(storedFrame(frame))));

const decoded = remembered((key) => {
  const [kind, frame] = key.split(" "), image = new Image();
  image.src = data.served ? `frame/${frame}.${kind}.jpg` : `data:image/jpeg;base64,${data.pictures[kind][frame]}`;
  return image.decode().then(() => image, async () => {
    throw new Error(data.served ? await (await fetch(image.src)).text() : "its picture is broken");
  });
});
const pictureOf = (frame) => (data.backgrounds.length ? decoded(`${state.background} ${frame}`) : Promise.resolve(null));

// ---- Drawing ------------------------------------------------------------------------------------------------------

const MESH_VERTEX = `#version 300 es
in vec3 position, normal, colour; uniform mat4 clip; out vec3 at, facing, tint;
void main() { at = position; facing = normal; tint = colour; gl_Position = clip * vec4(position, 1.0); }`;
const MESH_FRAGMENT = `#version 300 es
precision highp float; in vec3 at, facing, tint; uniform vec3 eye; uniform float alpha; out vec4 colour;
void main() {
  // Rounded where neighbouring faces nearly agree, sharp where they do not.
  vec3 level = normalize(cross(dFdx(at), dFdy(at))), round = normalize(facing + 1e-12);
  float agree = dot(level, round);
  vec3 n = normalize(mix(level, sign(agree) * round, smoothstep(0.8, 0.97, abs(agree))));
  vec3 light = normalize(normalize(eye - at) + vec3(-0.35, -0.55, 0.0));
  float lit = abs(dot(n, light));
  colour = vec4(tint * (0.42 + 0.58 * lit), alpha);
}`;
const LINE_VERTEX = `#version 300 es
in vec3 position; uniform mat4 clip; void main() { gl_Position = clip * vec4(position, 1.0); }`;
const LINE_FRAGMENT = `#version 300 es
precision highp float; uniform vec4 tint; out vec4 colour; void main() { colour = tint; }`;
const PICTURE_VERTEX = `#version 300 es
in vec3 position; in vec2 corner; uniform mat4 clip; out vec2 uv;
void main() { uv = corner; gl_Position = clip * vec4(position, 1.0); }`;
const PICTURE_FRAGMENT = `#version 300 es
precision highp float; in vec2 uv; uniform sampler2D picture; uniform float alpha; out vec4 colour;
void main() { colour = vec4(texture(picture, uv).rgb, alpha); }`;

class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
    if (!this.gl) throw new Error("This page needs WebGL 2, which this browser does not offer.");
    this.mesh = this.program(MESH_VERTEX, MESH_FRAGMENT);
    this.line = this.program(LINE_VERTEX, LINE_FRAGMENT);
    this.picture = this.program(PICTURE_VERTEX, PICTURE_FRAGMENT);
    this.texture = this.gl.createTexture();
    this.buffers = {};
    this.gl.enable(this.gl.DEPTH_TEST);
    this.gl.depthFunc(this.gl.LEQUAL);
    this.gl.blendFunc(this.gl.SRC_ALPHA, this.gl.ONE_MINUS_SRC_ALPHA);
  }
  program(...sources) {
    const gl = this.gl, program = gl.createProgram();
    sources.forEach((source, number) => {
      const shader = gl.createShader(number ? gl.FRAGMENT_SHADER : gl.VERTEX_SHADER);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    });
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    return program;
  }
  begin(program, clip) {
    this.gl.useProgram(program);
    this.gl.uniformMatrix4fv(this.gl.getUniformLocation(program, "clip"), false, clip);
    for (let place = 0; place < 3; place++) this.gl.disableVertexAttribArray(place);
  }
  uniform(program, name, ...values) {
    this.gl[`uniform${values.length}f`](this.gl.getUniformLocation(program, name), ...values);
  }
  attribute(program, name, values, size, integers) {
    const gl = this.gl, place = gl.getAttribLocation(program, name);
    if (place < 0) return;
    gl.bindBuffer(gl.ARRAY_BUFFER, (this.buffers[name] ||= gl.createBuffer()));
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, integers ? gl.UNSIGNED_BYTE : gl.FLOAT, !!integers, 0, 0);
  }
  size(width, height) {
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.gl.viewport(0, 0, width, height);
  }
  clear(r, g, b) {
    this.gl.clearColor(r, g, b, 1);
    this.gl.clear(this.gl.COLOR_BUFFER_BIT | this.gl.DEPTH_BUFFER_BIT);
  }
  upload(image) {
    const gl = this.gl;
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, image);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
  }
  quad(clip, corners, alpha) {
    const gl = this.gl;
    this.begin(this.picture, clip);
    this.uniform(this.picture, "alpha", alpha);
    this.attribute(this.picture, "position", new Float32Array(corners.flat()), 3);
    this.attribute(this.picture, "corner", new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), 2);
    gl.enable(gl.BLEND);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }
  lines(clip, points, tint) {
    this.begin(this.line, clip);
    this.uniform(this.line, "tint", ...tint);
    this.attribute(this.line, "position", new Float32Array(points.flat()), 3);
    this.gl.drawArrays(this.gl.LINES, 0, points.length);
  }
  // A layer's meshes together: first their depths, then the nearest surfaces' colours, so that none shines through.
  layer(clip, eye, meshes, alpha) {
    const gl = this.gl;
    gl.enable(gl.BLEND);
    for (const colour of alpha < 1 ? [false, true] : [true]) {
      gl.colorMask(colour, colour, colour, colour);
      for (const mesh of meshes) this.surface(clip, eye, mesh, alpha);
    }
  }
  surface(clip, eye, mesh, alpha) {
    const gl = this.gl;
    this.begin(this.mesh, clip);
    this.uniform(this.mesh, "eye", ...eye);
    this.uniform(this.mesh, "alpha", alpha);
    this.attribute(this.mesh, "position", mesh.vertices, 3);
    this.attribute(this.mesh, "normal", mesh.normals, 3);
    this.attribute(this.mesh, "colour", mesh.colours, 3, true);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, (this.buffers.faces ||= gl.createBuffer()));
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.faces, gl.DYNAMIC_DRAW);
    gl.drawElements(gl.TRIANGLES, mesh.faces.length, mesh.faces.BYTES_PER_ELEMENT === 4 ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT, 0);
  }
}

// The pinhole as a clip matrix, column by column. Pixel (0, 0) is the centre of the top-left pixel, so that u lies at
// 2 (u + 0.5) / width - 1; clip space has y upwards.
function pinhole([fx, fy, cx, cy, skew]) {
  const { width, height } = data;
  const depth = (FAR + NEAR) / (FAR - NEAR), offset = (-2 * FAR * NEAR) / (FAR - NEAR);
  return [
    (2 * fx) / width, 0, 0, 0,
    (2 * skew) / width, (-2 * fy) / height, 0, 0,
    (2 * (cx + 0.5)) / width - 1, 1 - (2 * (cy + 0.5)) / height, depth, 1,
    0, 0, offset, 0,
  ];
}

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
const LEAST_WIDTH = 1280; // of the camera's view, however small it is shown

class CameraView extends Painter {
  draw(camera, image, meshes) {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(LEAST_WIDTH, Math.round(this.canvas.clientWidth * ratio));
    this.size(width, Math.round((width * data.height) / data.width));
    this.clear(0, 0, 0);
    const gl = this.gl;
    if (image) {
      this.upload(image);
      gl.disable(gl.DEPTH_TEST);
      this.quad(IDENTITY, [[-1, 1, 0], [1, 1, 0], [-1, -1, 0], [1, -1, 0]], 1);
      gl.enable(gl.DEPTH_TEST);
    }
    for (const layer of meshes) {
      gl.clear(gl.DEPTH_BUFFER_BIT);
      this.layer(pinhole(camera), [0, 0, 0], layer, state.opacity);
    }
  }
}

// ---- The free view ------------------------------------------------------------------------------------------------

const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const unit = (a) => a.map((value) => value / Math.hypot(...a));

class SpaceView extends Painter {
  constructor(canvas) {
    super(canvas);
    this.reset();
    const pointers = new Map();
    canvas.addEventListener("pointerdown", (event) => (canvas.setPointerCapture(event.pointerId), pointers.set(event.pointerId, event)));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
      if (pointers.size > 1 || event.shiftKey || event.buttons & 6) this.pan(dx, dy);
      else this.turn(dx, dy);
      pointers.set(event.pointerId, event);
      redraw();
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.distance = Math.min(Math.max(this.distance * Math.exp(event.deltaY * 0.0012), 0.05), 8);
      redraw();
    }, { passive: false });
  }
  reset() {
    const target = data.middle.map((value) => 0.8 * value);
    Object.assign(this, { yaw: -0.9, pitch: 0.4, target, distance: 1.55 * data.middle[2] });
  }
  fromCamera() {
    Object.assign(this, { yaw: 0, pitch: 0, target: [0, 0, data.middle[2]], distance: data.middle[2] });
  }
  turn(dx, dy) {
    this.yaw -= 0.008 * dx;
    this.pitch = Math.min(Math.max(this.pitch + 0.008 * dy, -1.55), 1.55);
  }
  pan(dx, dy) {
    const { right, down } = this.axes(), scale = this.distance / this.canvas.clientHeight;
    this.target = this.target.map((value, k) => value - scale * (dx * right[k] + dy * down[k]));
  }
  axes() {
    const [sy, cy, sp, cp] = [Math.sin(this.yaw), Math.cos(this.yaw), Math.sin(this.pitch), Math.cos(this.pitch)];
    const forward = [sy * cp, sp, cy * cp], right = unit(cross([0, 1, 0], forward));
    return { forward, right, down: cross(forward, right), eye: this.target.map((value, k) => value - this.distance * forward[k]) };
  }
  clip(width, height) {
    const { forward, right, down, eye } = this.axes(), s = 2.1, a = height / width;
    const depth = (FAR + NEAR) / (FAR - NEAR), rows = [right.map((v) => s * a * v), down.map((v) => -s * v), forward.map((v) => depth * v), forward];
    const last = [0, 0, (-2 * FAR * NEAR) / (FAR - NEAR), 0];
    return [0, 1, 2, 3].flatMap((column) => rows.map((row, r) => (column < 3 ? row[column] : last[r] - dot(row, eye))));
  }
  draw([fx, fy, cx, cy], image, meshes) {
    const ratio = window.devicePixelRatio || 1, gl = this.gl;
    const width = Math.round(this.canvas.clientWidth * ratio), height = Math.round((width * data.height) / data.width);
    this.size(width, height);
    this.clear(0.047, 0.051, 0.063);
    const clip = this.clip(width, height), { eye } = this.axes();
    const far = data.far;
    const corner = (u, v, z) => [((u - cx) / fx) * z, ((v - cy) / fy) * z, z];
    const at = (z) => [[-0.5, -0.5], [data.width - 0.5, -0.5], [-0.5, data.height - 0.5], [data.width - 0.5, data.height - 0.5]].map(([u, v]) => corner(u, v, z));
    meshes.forEach((layer, number) => this.layer(clip, eye, layer, number ? 0.55 : 1));
    const [a, b, c, d] = at(far), o = [0, 0, 0], [e, f, g, h] = at(0.08);
    this.lines(clip, [o, a, o, b, o, c, o, d, a, b, b, d, d, c, c, a, e, f, f, h, h, g, g, e], [0.55, 0.6, 0.7, 1]);
    this.lines(clip, [o, [0.05, 0, 0]], [0.95, 0.35, 0.35, 1]);
    this.lines(clip, [o, [0, 0.05, 0]], [0.4, 0.85, 0.4, 1]);
    this.lines(clip, [o, [0, 0, 0.05]], [0.45, 0.6, 1, 1]);
    if (image) {
      this.upload(image);
      this.quad(clip, at(far), 0.6);
    }
  }
}

// ---- The timeline -------------------------------------------------------------------------------------------------

// The points that a curve is drawn through: all, or of many the least and the greatest of each column of pixels.
function pointsOf(values) {
  let columns = 0, points = [];
  return (wanted) => {
    if (wanted === columns) return points;
    columns = wanted;
    points = [];
    if (values.length <= 4 * columns) values.forEach((value, row) => points.push([row, value]));
    else for (let column = 0; column < columns; column++) {
      const first = Math.floor((column * values.length) / columns), last = Math.floor(((column + 1) * values.length) / columns);
      let low = -1, high = -1;
      for (let row = first; row < last; row++) {
        if (!Number.isFinite(values[row])) continue;
        if (low < 0 || values[row] < values[low]) low = row;
        if (high < 0 || values[row] > values[high]) high = row;
      }
      if (low < 0) points.push([first, NaN]);
      else for (const row of [Math.min(low, high), Math.max(low, high)]) points.push([row, values[row]]);
    }
    return points;
  };
}
const curves = data.curves.map((curve) => {
  const values = array(curve.values);
  return { ...curve, values, points: pointsOf(values) };
});
const times = array(data.times), flagged = data.flagged, shownRows = data.shown;
const timeline = element("timeline");

function drawTimeline() {
  const ratio = window.devicePixelRatio || 1, width = timeline.clientWidth, height = timeline.clientHeight;
  Object.assign(timeline, { width: width * ratio, height: height * ratio });
  const pen = timeline.getContext("2d"), style = getComputedStyle(document.body), ink = (name) => style.getPropertyValue(name).trim();
  pen.scale(ratio, ratio);
  const [left, right, top, bottom] = [52, width - 12, 24, height - 20], end = times[times.length - 1] || 1;
  const x = (row) => left + (times[row] / end) * (right - left), y = (value) => bottom - Math.min(value / data.curve_limit, 1.04) * (bottom - top);
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = pen.strokeStyle = ink("--soft");
  pen.textAlign = "right";
  for (const share of [0, 0.5, 1]) {
    pen.globalAlpha = 0.25;
    pen.fillRect(left, Math.round(y(share * data.curve_limit)), right - left, 1);
    pen.globalAlpha = 1;
    pen.fillText(`${+(share * data.curve_limit).toPrecision(3)}`, left - 7, y(share * data.curve_limit) + 4);
  }
  pen.textAlign = "left";
  const title = [data.curve_title, data.curve_unit].filter(Boolean).join(", ");
  pen.fillText(title, left, 15);
  let place = left + pen.measureText(title).width + 18;
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600].find((one) => end / one <= 14) || 3600;
  pen.textAlign = "center";
  for (let second = 0; second <= end + 1e-6; second += step) {
    pen.fillText(`${+second.toFixed(1)} s`, Math.min(left + (second / end) * (right - left), width - 18), height - 5);
  }
  pen.fillStyle = ink("--bad");
  for (const row of flagged) pen.fillRect(x(row) - 1, top - 3, 2, 7);
  pen.textAlign = "left";
  for (const curve of curves) {
    pen.strokeStyle = pen.fillStyle = ink(curve.ink);
    pen.setLineDash(curve.dashed ? [4, 3] : []);
    pen.lineWidth = 1.6;
    pen.beginPath();
    let drawing = false;
    for (const [row, value] of curve.points(Math.max(1, Math.round(right - left)))) {
      const there = Number.isFinite(value);
      if (there) pen[drawing ? "lineTo" : "moveTo"](x(row), y(value));
      const alone = there && !Number.isFinite(curve.values[row - 1]) && !Number.isFinite(curve.values[row + 1]);
      if (alone) pen.arc(x(row), y(value), 1.5, 0, 7);
      drawing = there;
    }
    pen.moveTo(place, 11);
    pen.lineTo(place + 18, 11);
    pen.stroke();
    pen.setLineDash([]);
    pen.fillText(curve.label, place + 23, 15);
    place += 41 + pen.measureText(curve.label).width;
  }
  if (flagged.length) {
    pen.fillStyle = ink("--bad");
    pen.fillRect(place + 5, 6, 2, 9);
    pen.fillText(`doubtful: ${flagged.length}`, place + 12, 15);
  }
  pen.fillStyle = ink("--ink");
  pen.fillRect(x(shownRows[state.shown]) - 0.75, top - 6, 1.5, bottom - top + 8);
}

function shownAt(event) {
  const box = timeline.getBoundingClientRect(), end = times[times.length - 1] || 1;
  const wanted = ((event.clientX - box.left - 52) / (box.width - 64)) * end;
  let low = 0, high = shownRows.length - 1; // between which the nearest is
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[shownRows[middle]] <= wanted) low = middle;
    else high = middle;
  }
  return wanted - times[shownRows[low]] <= times[shownRows[high]] - wanted ? low : high;
}

// ---- Everything together ------------------------------------------------------------------------------------------

let cameraView, spaceView, asked = 0;

let settling = Promise.resolve();
const show = (number, ahead = true) => (settling = paint(number, ahead).catch((error) => {
  play(false);
  element("doubtful").textContent = `frame ${data.indices[shownRows[state.shown]]} cannot be shown: ${error.message}`;
}));

// While the timeline is dragged: the newest place as soon as the last one is drawn; what was passed is never asked for.
let sought = null, seeking = null;
function seek(number) {
  sought = number;
  seeking ??= (async () => {
    while (sought !== null) {
      const next = sought;
      sought = null;
      await show(next, false);
    }
    seeking = null;
  })();
}

async function paint(number, ahead) {
  state.shown = Math.min(Math.max(number, 0), shownRows.length - 1);
  const mine = ++asked, [frame, image] = await Promise.all([frameOf(state.shown), pictureOf(state.shown)]);
  if (mine !== asked) return; // another frame was asked for: a mesh is never drawn over another frame's picture
  const meshes = meshesOf(frame);
  cameraView.draw(frame.camera, image, state.background === "picture" ? meshes : []); // which would hide the comparison
  spaceView.draw(frame.camera, image, meshes);
  drawTimeline();
  describe();
  if (!ahead) return;
  const next = Math.min(state.shown + 1, shownRows.length - 1);
  await Promise.all([frameOf(next), pictureOf(next)]).catch(() => {}); // said when it is shown
}
const redraw = () => show(state.shown);

function describe() {
  const row = shownRows[state.shown];
  const number = (value, unit) => (Number.isFinite(value) ? `${value.toFixed(unit ? 1 : 3)} ${unit}` : "–");
  element("clock").textContent = `frame ${data.indices[row]} · ${times[row].toFixed(2)} s`;
  element("state").textContent = curves.map((curve) => `${curve.label} ${number(curve.values[row], data.curve_unit)}`).join(" · ");
  element("doubtful").textContent = data.flags[row] ? `doubtful: ${data.flags[row]}` : "";
}

function play(on) {
  state.playing = on;
  element("play").textContent = on ? "❚❚" : "▶";
  if (!on) return;
  if (state.shown === shownRows.length - 1) state.shown = 0;
  const began = performance.now(), from = times[shownRows[state.shown]];
  const step = async () => {
    if (!state.playing || state.began !== began) return;
    const now = from + ((performance.now() - began) / 1000) * Number(element("speed").value);
    let next = state.shown;
    while (next < shownRows.length - 1 && times[shownRows[next + 1]] <= now) next++;
    if (next !== state.shown) await show(next);
    if (state.shown === shownRows.length - 1) return play(false);
    requestAnimationFrame(step);
  };
  state.began = began;
  requestAnimationFrame(step);
}

function makeControls() {
  element("title").textContent = data.title;
  element("about").textContent = data.about;
  element("camera-note").textContent = data.backgrounds.length ? "" : "without pictures";
  layers.forEach((layer, number) => {
    const label = document.createElement("label"), box = document.createElement("input");
    Object.assign(box, { type: "checkbox", checked: state.visible[layer.key] });
    box.addEventListener("change", () => ((state.visible[layer.key] = box.checked), redraw()));
    layer.box = box;
    label.title = `${number + 1}`;
    label.append(box, ...[...layer.parts].reverse().map((part) => {
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = `rgb(${layer.colours[part]})`;
      return swatch;
    }), layer.label);
    element("layers").append(label);
  });
  if (layers.length > 1 && data.heat_mm) {
    element("heat-label").hidden = false;
    const bar = document.createElement("i");
    bar.style.background = `linear-gradient(90deg, ${STOPS.map((stop) => `rgb(${stop})`)})`;
    element("scale").append("0", bar, `${data.heat_mm} mm`);
    element("heat").addEventListener("change", () => ((state.heat = element("heat").checked), redraw()));
  }
  if (data.backgrounds.length > 1) {
    element("background-label").hidden = false;
    for (const kind of data.backgrounds) element("background").append(new Option(kind, kind));
    element("background").addEventListener("change", () => showBehind(element("background").value));
  }
  element("opacity").addEventListener("input", () => ((state.opacity = Number(element("opacity").value)), redraw()));
  element("play").addEventListener("click", () => play(!state.playing));
  element("speed").addEventListener("change", () => state.playing && play(true));
  let dragging = false;
  timeline.addEventListener("pointerdown", (event) => ((dragging = true), play(false), seek(shownAt(event))));
  timeline.addEventListener("pointermove", (event) => dragging && seek(shownAt(event)));
  window.addEventListener("pointerup", () => (dragging = false));
  window.addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("keydown", onKey);
}

// The frame compared with the label nearest to it: by colours, or by where its points have gone.
function showBehind(kind) {
  state.background = element("background").value = kind;
  const note = element("background-note"), bar = document.createElement("i");
  note.replaceChildren();
  if (kind === "residual") {
    bar.style.background = `linear-gradient(90deg, ${data.residual_stops.map((stop) => `rgb(${stop})`)})`;
    note.append("difference of colours 0", bar, `${data.residual_limit} and more`);
  } else if (kind === "flow") {
    bar.style.background = `linear-gradient(90deg, ${[0, 90, 180, 270].map((degrees) => `hsl(${degrees} 100% 50%)`)})`;
    note.append("to the label: → ↓ ← ↑", bar, `full colour at ${data.flow_limit} px`);
  }
  return redraw();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("select, input[type=range]")) return;
  const far = event.shiftKey ? 10 : 1, move = (number) => (play(false), show(number));
  const doubtful = () => {
    const rows = new Set(flagged), order = shownRows.map((_, k) => (state.shown + 1 + k) % shownRows.length);
    const next = order.find((number) => rows.has(shownRows[number]));
    if (next !== undefined) move(next);
  };
  const actions = {
    " ": () => play(!state.playing), ArrowRight: () => move(state.shown + far), ArrowLeft: () => move(state.shown - far),
    Home: () => move(0), End: () => move(shownRows.length - 1), n: doubtful,
    b: () => data.backgrounds.length > 1 && showBehind(data.backgrounds[(data.backgrounds.indexOf(state.background) + 1) % data.backgrounds.length]),
    e: () => !element("heat-label").hidden && element("heat").click(),
    r: () => (spaceView.reset(), redraw()), c: () => (spaceView.fromCamera(), redraw()),
  };
  layers.forEach((layer, number) => (actions[`${number + 1}`] = () => layer.box.click()));
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
}

try {
  makeControls();
  cameraView = new CameraView(element("camera"));
  spaceView = new SpaceView(element("space"));
  window.viewer = { show, state, cameraView, spaceView, ready: show(0), settled: () => settling };
} catch (error) {
  element("about").textContent = error.message;
}

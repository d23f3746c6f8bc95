// Mouse, pen and fingers on the canvases.

export function addGestures(viewer, marker) {
  const pointers = new Map();
  let started = null;

  for (const canvas of Object.values(viewer.canvases)) {
    if (!canvas) continue;
    canvas.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, event);
      canvas.setPointerCapture(event.pointerId);
      viewer.stage.focus({ preventScroll: true });
      if (pointers.size > 1) marker.drop();
      else if (marker.active && event.button === 0) marker.begin(viewer.pointAt(canvas, event));
      started = { zoom: viewer.zoom, apart: apart(pointers), still: true };
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      pointers.set(event.pointerId, event);
      const moved = { x: event.clientX - last.clientX, y: event.clientY - last.clientY };
      if (Math.hypot(moved.x, moved.y) > 1) started.still = false;
      if (pointers.size > 1) pinch(canvas, moved);
      else if (marker.drawing) marker.extend(viewer.pointAt(canvas, event));
      else drag(canvas, event, moved);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(end, (event) => {
        if (!pointers.delete(event.pointerId)) return;
        if (marker.drawing) marker.end();
        else if (end === "pointerup" && started.still && moves()) centre(canvas, event);
      });
    }
    canvas.addEventListener("dblclick", () => viewer.resetView());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => wheel(canvas, event), { passive: false });
  }

  function moves() {
    return viewer.stage.classList.contains("moves");
  }

  // Who cannot drag clicks on what should be in the middle.
  function centre(canvas, event) {
    const { x, y } = viewer.pointAt(canvas, event);
    const { width, height } = viewer.picture;
    viewer.set({ pan: { x: width / 2 - x, y: height / 2 - y } });
  }

  function drag(canvas, event, moved) {
    if (moves() || event.shiftKey || event.buttons > 1) {
      const { scale } = viewer.geometry(canvas);
      viewer.move(moved.x / scale, moved.y / scale);
    } else if (!marker.active) {
      // A drag over half the canvas changes the window by its whole range.
      const step = 510 / Math.max(200, canvas.clientWidth);
      viewer.setWindow(viewer.grey.width + moved.x * step, viewer.grey.level + moved.y * step);
    }
  }

  function pinch(canvas, moved) {
    const { scale } = viewer.geometry(canvas);
    viewer.zoom = started.zoom * (apart(pointers) / Math.max(1, started.apart));
    viewer.zoomBy(1);
    viewer.move(moved.x / scale / 2, moved.y / scale / 2);
  }

  function wheel(canvas, event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      viewer.zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15, viewer.pointAt(canvas, event));
    } else if (viewer.count > 1) {
      event.preventDefault();
      viewer.goTo(viewer.slice + Math.sign(event.deltaY));
    }
  }
}

function apart(pointers) {
  const [a, b] = [...pointers.values()];
  return b ? Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) : 1;
}

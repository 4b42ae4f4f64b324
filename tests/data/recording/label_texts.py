"""Labels of a small recording as other programs write them, made by hand and not by the package's own writers."""

import json
from typing import Any

import numpy as np

# In the order of our joints: wrist, then thumb to little finger, each from its base to its tip.
MEDIAPIPE = (
    *("WRIST", "THUMB_CMC", "THUMB_MCP", "THUMB_IP", "THUMB_TIP"),
    *(
        f"{f}_{p}"
        for f in ("INDEX_FINGER", "MIDDLE_FINGER", "RING_FINGER", "PINKY")
        for p in ("MCP", "PIP", "DIP", "TIP")
    ),
)
WHOLE_BODY = (
    "wrist",
    *(f"{f}{p}" for f in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger") for p in range(1, 5)),
)
Pixels = dict[int, np.ndarray]  # (21, 2) of each frame; (0, 0) is the centre of the top-left pixel


def coco_text(pixels: Pixels, *, names: tuple[str, ...] = MEDIAPIPE, size: tuple[int, int] = (64, 48)) -> str:
    """The names of the joints in another order than ours, as a category may have them."""
    order = list(range(20, -1, -1))
    images = [{"id": 70 + f, "file_name": f"frame_{f:06d}.PNG", "width": size[0], "height": size[1]} for f in pixels]
    annotations: list[dict[str, Any]] = [
        {
            "id": frame,
            "image_id": 70 + frame,
            "category_id": 5,
            "keypoints": np.concatenate([rows[order], np.full((21, 1), 2)], axis=1).ravel().tolist(),
            "num_keypoints": 21,
        }
        for frame, rows in pixels.items()
    ]
    annotations.append({"id": 99, "image_id": 70 + min(pixels), "category_id": 6, "bbox": [0, 0, 5, 5]})
    categories = [{"id": 5, "name": "hand", "keypoints": [names[row] for row in order]}, {"id": 6, "name": "mug"}]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


def cvat_text(pixels: Pixels, *, shape: str = "skeleton", size: tuple[int, int] = (64, 48)) -> str:
    """Skeletons, named points, or one shape of 21 points; places from the corner of the top-left pixel."""
    images = []
    for frame, rows in pixels.items():
        places = [f"{x + 0.5:.6f},{y + 0.5:.6f}" for x, y in rows]
        match shape:
            case "skeleton":
                points = (
                    f'<points label="{name}" outside="0" occluded="1" points="{place}"></points>'
                    for name, place in zip(WHOLE_BODY, places, strict=True)
                )
                inner = f'<skeleton label="right hand" z_order="0">{"".join(points)}</skeleton>'
            case "points":
                inner = "".join(
                    f'<points label="{name}" points="{place}"></points>'
                    for name, place in zip(WHOLE_BODY, places, strict=True)
                )
            case _:
                inner = f'<points label="hand" points="{";".join(places)}"></points><box label="mug" xtl="0"/>'
        about = f'id="{frame}" name="frame_{frame:06d}" width="{size[0]}" height="{size[1]}"'
        images.append(f"<image {about}>{inner}</image>")
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task/></meta>'
    return f"{head}{''.join(images)}</annotations>\n"


def label_studio_text(pixels: Pixels, *, size: tuple[int, int] = (64, 48)) -> str:
    """Tasks of uploaded pictures, each with a cancelled annotation and a finished one."""
    tasks = []
    for frame, rows in pixels.items():
        result = [
            {
                "type": "keypointlabels",
                "from_name": "kp",
                "to_name": "img",
                "original_width": size[0],
                "original_height": size[1],
                "value": {"x": x, "y": y, "width": 0.3, "keypointlabels": [name]},
            }
            for name, (x, y) in zip(WHOLE_BODY, ((rows + 0.5) / size * 100).tolist(), strict=True)
        ]
        result.append({"type": "choices", "value": {"choices": ["sharp"]}})
        data = {"img": f"/data/upload/1/0123abcd-frame_{frame:06d}.png", "note": "held"}
        annotations = [{"was_cancelled": True, "result": result[:3]}, {"was_cancelled": False, "result": result}]
        tasks.append({"id": 100 + frame, "data": data, "annotations": annotations})
    return json.dumps(tasks)


def scene_gt_text(poses: dict[int, tuple[np.ndarray, np.ndarray]], *, object_id: int = 5) -> str:
    """The mesh file's own coordinates in millimetres, beside another object."""
    other = {"cam_R_m2c": np.eye(3).ravel().tolist(), "cam_t_m2c": [0, 0, 700.0], "obj_id": 1}
    content = {
        str(frame): [other, {"cam_R_m2c": R.ravel().tolist(), "cam_t_m2c": (1000 * t).tolist(), "obj_id": object_id}]
        for frame, (R, t) in poses.items()
    }
    return json.dumps(content)

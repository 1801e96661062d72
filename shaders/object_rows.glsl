// The object's row (OBJECT_DTYPE of vrapp/render/culling.py), the same for all vertices of an object. As attributes:
// a software rasteriser takes far longer where each vertex reads its row from a storage buffer.
layout(location = 4) in vec4 row_position_scale;
layout(location = 5) in vec4 row_orientation;  // quaternion xyzw
layout(location = 6) in vec4 row_highlight;    // linear RGB, strength
layout(location = 7) in vec4 row_half_ground;  // half extents of its box in metres, height of the ground under it

vec3 turned(vec4 q, vec3 v) {
    vec3 t = 2.0 * cross(q.xyz, v);
    return v + q.w * t + cross(q.xyz, t);
}

// From the mesh's own coordinates to the world.
vec3 placed(vec3 position) { return turned(row_orientation, position * row_position_scale.w) + row_position_scale.xyz; }

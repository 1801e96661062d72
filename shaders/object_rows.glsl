// One row for each object (OBJECT_DTYPE of vrapp/render/culling.py).
struct Object {
    vec4 position_scale;
    vec4 orientation;  // quaternion xyzw
    vec4 highlight;    // linear RGB, strength
    vec4 half_ground;  // half extents of its box in metres, height of the ground under it
};

layout(std430, binding = 1) readonly buffer Objects { Object objects[]; };

vec3 turned(vec4 q, vec3 v) {
    vec3 t = 2.0 * cross(q.xyz, v);
    return v + q.w * t + cross(q.xyz, t);
}

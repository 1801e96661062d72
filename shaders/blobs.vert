// The sky's light that an object keeps from the ground around it: one soft quad under each object, an instance
// of six vertices for each eye.
#define VERTEX
#include "frame.glsl"
#include "object_rows.glsl"

out vec2 place;              // metres from the middle, along the footprint's sides
flat out vec2 half_size;     // of the footprint
flat out vec2 reach_strength;

void main() {
    int eye = gl_VertexID / 6, number = gl_VertexID % 6;
    vec3 h = row_half_ground.xyz;
    vec4 q = row_orientation;
    vec3 x = turned(q, vec3(1, 0, 0)), y = turned(q, vec3(0, 1, 0)), z = turned(q, vec3(0, 0, 1));
    float lowest = row_position_scale.y - dot(abs(vec3(x.y, y.y, z.y)), h) - row_half_ground.w;

    // The side that stands up most is not part of the footprint.
    vec3 up = abs(vec3(x.y, y.y, z.y));
    vec4 first = up.x > max(up.y, up.z) ? vec4(y, h.y) : vec4(x, h.x);
    float second = up.z > max(up.x, up.y) ? h.y : h.z;
    float height = 2.0 * (up.x > max(up.y, up.z) ? h.x : up.y > up.z ? h.y : h.z);
    vec2 along = normalize(first.xz + vec2(1e-5, 0.0));
    half_size = vec2(first.w, second) * 0.82;
    float reach = clamp(0.45 * height, 0.06, 1.3);
    float gap = max(lowest, 0.0) / reach;
    reach_strength = vec2(reach * (1.0 + 0.6 * gap), 0.62 / (1.0 + 2.5 * gap * gap));

    int vertex = number < 3 ? number : number - 2;  // 0 1 2, 1 2 3
    vec2 corner = vec2(vertex & 1, vertex >> 1) * 2.0 - 1.0;
    place = corner * (half_size + reach_strength.x);
    vec2 p = row_position_scale.xz + along * place.x + vec2(-along.y, along.x) * place.y;
    vec3 world = vec3(p.x, row_half_ground.w, p.y);
    world += normalize(eyes[eye].xyz - world) * 0.004 * distance(world, eyes[eye].xyz);
    gl_Position = row_position_scale.w > 0.0 ? to_screen(world, eye) : vec4(0.0);  // rows of nothing
}

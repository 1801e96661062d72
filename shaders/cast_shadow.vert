// Objects as the sun sees them, into one cascade.
#define VERTEX
#include "frame.glsl"
#include "object_rows.glsl"

layout(location = 0) in vec3 in_position;
layout(location = 7) uniform int cascade;

void main() {
    vec3 place = (shadow_from_world[cascade] * vec4(placed(in_position), 1.0)).xyz;
    vec4 tile = shadow_tile[cascade];
    vec2 in_tile = (place.xy - tile.xy) / (tile.zw - tile.xy);
    gl_ClipDistance[0] = 1.0;
#ifdef DEPTH_MINUS_ONE_TO_ONE
    gl_Position = vec4(in_tile * 2.0 - 1.0, place.z * 2.0 - 1.0, 1.0);
#else
    gl_Position = vec4(in_tile * 2.0 - 1.0, place.z, 1.0);
#endif
}
